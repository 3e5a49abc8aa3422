use quote::ToTokens;
use syn::{GenericParam, ItemImpl, ReturnType, Type};

use super::{
    attr::Reach,
    model::{Method, Model},
    params::printed,
};
use crate::attr::Errors;

/// Whether the block is one for which something can be generated.
pub(super) fn block(block: &ItemImpl, errors: &mut Errors) -> bool {
    if let Some((path, _)) = &block.trait_ {
        let text = "`#[handlers]` belongs on the actor's own `impl` block, not on that of a trait";
        errors.at(path, text);
        return false;
    }
    if !matches!(&*block.self_ty, Type::Path(_)) {
        errors.at(&block.self_ty, "an actor is a struct or an enum: write its name");
        return false;
    }
    let lifetime = block.generics.lifetimes().next();
    if let Some(lifetime) = lifetime {
        errors.at(lifetime, "an actor owns what it holds: use a type without a lifetime");
    }
    lifetime.is_none()
}

/// What the methods must fulfil together and each by itself.
pub(super) fn methods(model: &mut Model, errors: &mut Errors) {
    signatures(model, errors);
    one_of_each("started", &mut model.started, errors);
    one_of_each("stopped", &mut model.stopped, errors);
    reach(model, errors);
    handled_once(model, errors);
}

fn signatures(model: &mut Model, errors: &mut Errors) {
    for handler in &mut model.handlers {
        if handler.is_deferred {
            let text = "a handler that replies later returns nothing: send the outcome by its \
                        `Reply`";
            handler.is_broken |= !returns_nothing(&handler.method, text, errors);
        }
        handler.is_broken |= has_parameters(&handler.method, errors);
    }
    let ticks = model.ticks.iter().map(|(method, _)| method);
    for method in ticks {
        let text = "an `#[every]` method returns nothing: nobody waits for it";
        returns_nothing(method, text, errors);
    }
    for method in &model.stopped {
        let text = "a `#[stopped]` hook returns nothing: nobody waits for it";
        returns_nothing(method, text, errors);
    }
    model.ticks.retain(|(method, _)| is_unit(&method.output));
    model.stopped.retain(|method| is_unit(&method.output));
}

fn has_parameters(method: &Method, errors: &mut Errors) -> bool {
    let parameter = method
        .generics
        .params
        .iter()
        .find(|parameter| !matches!(parameter, GenericParam::Lifetime(_)));
    if let Some(parameter) = parameter {
        let text = "a handler takes one type of message: write that type, or one handler for each";
        errors.at(parameter, text);
    }
    parameter.is_some()
}

fn returns_nothing(method: &Method, text: &str, errors: &mut Errors) -> bool {
    let is_good = is_unit(&method.output);
    if let (false, ReturnType::Type(_, ty)) = (is_good, &method.output) {
        errors.at(ty, text);
    }
    is_good
}

fn is_unit(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => matches!(&**ty, Type::Tuple(tuple) if tuple.elems.is_empty()),
    }
}

fn one_of_each(hook: &str, methods: &mut Vec<Method>, errors: &mut Errors) {
    let mut always = methods.iter().filter(|method| method.cfgs.is_empty());
    if let (Some(first), Some(second)) = (always.next(), always.next()) {
        let text =
            format!("an actor has one `#[{hook}]` hook, and `{}` is one: join them", first.ident);
        errors.at(&second.ident, text);
        methods.truncate(1);
    }
}

fn reach(model: &mut Model, errors: &mut Errors) {
    for handler in &mut model.handlers {
        if handler.names_parameter && handler.reach == Reach::Auto {
            let text = format!(
                "`{}` names a type parameter of the actor, so it can't be seen here whether it can \
                 travel to another process: write `#[handle(remote)]` if it can, \
                 `#[handle(local)]` if not",
                printed(&handler.message)
            );
            errors.at(&handler.message, text);
            handler.reach = Reach::Local;
        }
    }
}

fn handled_once(model: &mut Model, errors: &mut Errors) {
    let mut seen: Vec<(String, String)> = Vec::new();
    model.handlers.retain(|handler| {
        if !handler.method.cfgs.is_empty() {
            return true;
        }
        let message = handler.message.to_token_stream().to_string();
        let by = seen.iter().find(|(other, _)| *other == message).map(|(_, method)| method);
        if let Some(by) = by {
            let text = if handler.topics.is_empty() {
                format!("this message is handled twice (also by `{by}`): keep one")
            } else {
                format!(
                    "this message is handled twice (also by `{by}`): one method can have several \
                     `#[subscribe(..)]`"
                )
            };
            errors.at(&handler.message, text);
            return false;
        }
        seen.push((message, handler.method.ident.to_string()));
        true
    });
}
