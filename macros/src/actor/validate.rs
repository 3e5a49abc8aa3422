use super::model::Model;
use crate::attr::{Errors, check_message_name};

pub(super) fn check(model: &Model<'_>, errors: &mut Errors) {
    if let Err(error) = check_message_name(&model.name, model.name_span) {
        if model.name_is_default {
            let text = "the type's name can't name the actor: add `#[actor(name = \"..\")]`";
            errors.at(model.ident, text);
        } else {
            errors.push(error);
        }
    }
    for lifetime in model.generics.lifetimes() {
        let text = "an actor owns what it holds: use `String`, `Rc<..>` or another type without a \
                    lifetime";
        errors.at(lifetime, text);
    }
}
