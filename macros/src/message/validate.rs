use syn::Expr;

use super::model::Model;
use crate::attr::{Errors, check_message_name};

pub(super) fn check(model: &Model<'_>, errors: &mut Errors) {
    if let Err(error) = check_message_name(&model.name, model.name_span) {
        if model.name_is_default {
            let text = "the type's name can't be its wire name: add `#[message(name = \"..\")]`";
            errors.at(model.ident, text);
        } else {
            errors.push(error);
        }
    }
    for lifetime in model.generics.lifetimes() {
        let text = "a message owns what it holds: use `String`, `Vec<u8>`, `Arc<..>` or another \
                    type without a lifetime";
        errors.at(lifetime, text);
    }
    if let Some(from) = model.from.as_ref().filter(|_| !model.generics.params.is_empty()) {
        let text = "a message with parameters can't take the place of an older version: leave out \
                    `from`";
        errors.at(from, text);
    }
    for function in model.failure.iter().chain(&model.size) {
        if !matches!(function, Expr::Path(_) | Expr::Closure(_)) {
            errors.at(function, "write the path of a function, or a closure");
        }
    }
}
