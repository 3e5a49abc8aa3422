//! The roles of a method's parameters, which their types give: an owned one is the message, `&mut`
//! the context, `&` the reason of a stop.

use syn::{FnArg, ReceiverKind, Signature, Type};

use super::attr::Role;
use crate::attr::Errors;

/// What a parameter is given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Parameter {
    Message,
    Context,
    Reason,
    Reply,
}

/// The parameters in their order, and the type of the message.
pub(super) struct Parameters {
    pub(super) order: Vec<Parameter>,
    pub(super) message: Option<Type>,
    pub(super) is_good: bool,
}

/// Reads the parameters of a method in this role.
pub(super) fn read(signature: &Signature, role: &Role, errors: &mut Errors) -> Parameters {
    let mut read = Parameters { order: Vec::new(), message: None, is_good: true };
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) if matches!(receiver.kind, ReceiverKind::Reference(..)) => {
        }
        Some(FnArg::Receiver(receiver)) => {
            read.fail(errors, receiver, "the actor lives on: write `&mut self`");
        }
        _ => {
            let text = "write `&mut self` first: a handler works on its actor";
            read.fail(errors, &signature.ident, text);
        }
    }
    for input in inputs {
        if let FnArg::Typed(typed) = input {
            read.parameter(peel(&typed.ty), role, errors);
        }
    }
    read.complete(signature, role, errors);
    read
}

/// The type without the invisible or written parentheses round it.
fn peel(mut ty: &Type) -> &Type {
    loop {
        match ty {
            Type::Group(group) => ty = &group.elem,
            Type::Paren(paren) => ty = &paren.elem,
            _ => return ty,
        }
    }
}

impl Parameters {
    fn fail(
        &mut self,
        errors: &mut Errors,
        at: impl quote::ToTokens,
        text: impl std::fmt::Display,
    ) {
        self.is_good = false;
        errors.at(at, text);
    }

    fn parameter(&mut self, ty: &Type, role: &Role, errors: &mut Errors) {
        let has_message = matches!(role, Role::Handle { .. } | Role::Subscribe(_));
        let parameter = match ty {
            Type::Reference(reference) if reference.mutability.is_some() => {
                let is_context = last_word(&reference.elem).is_some_and(|word| word == "Ctx");
                if has_message && self.message.is_none() && !is_context {
                    self.by_value(ty, &reference.elem, errors);
                    return;
                }
                Parameter::Context
            }
            Type::Reference(reference) if has_message => {
                self.by_value(ty, &reference.elem, errors);
                return;
            }
            Type::Reference(_) => Parameter::Reason,
            Type::ImplTrait(_) => {
                self.message.get_or_insert_with(|| ty.clone());
                let text = "a handler takes one type of message: write that type";
                self.fail(errors, ty, text);
                return;
            }
            _ if last_word(ty).is_some_and(|word| word == "Reply") => Parameter::Reply,
            _ => Parameter::Message,
        };
        self.admit(parameter, ty, role, errors);
    }

    fn by_value(&mut self, ty: &Type, inner: &Type, errors: &mut Errors) {
        self.message.get_or_insert_with(|| inner.clone());
        let inner = printed(inner);
        self.fail(errors, ty, format!("a message is taken by value: write `{inner}`"));
    }

    /// Takes a parameter if the role has such a one, and has it once.
    fn admit(&mut self, parameter: Parameter, ty: &Type, role: &Role, errors: &mut Errors) {
        let wrong = match (parameter, role) {
            (Parameter::Context, _)
            | (Parameter::Message, Role::Handle { .. } | Role::Subscribe(_))
            | (Parameter::Reply, Role::Handle { is_deferred: true, .. })
            | (Parameter::Reason, Role::Stopped) => None,
            (Parameter::Reply, Role::Handle { .. }) => {
                Some("a handler that replies later is marked `#[handle(defer)]`")
            }
            (_, Role::Stopped) => {
                Some("a `#[stopped]` hook takes `&mut Ctx<Self>` and `&StopReason`, or fewer")
            }
            (_, Role::Started) => Some("a `#[started]` hook takes `&mut Ctx<Self>` or nothing"),
            (_, Role::Every(_)) => Some("an `#[every]` method takes `&mut Ctx<Self>` or nothing"),
            (_, Role::Handle { .. } | Role::Subscribe(_)) => {
                Some("a handler takes its message and, if it likes, `&mut Ctx<Self>`")
            }
        };
        if let Some(text) = wrong {
            self.fail(errors, ty, text);
            return;
        }
        if self.order.contains(&parameter) {
            let text = match parameter {
                Parameter::Message => {
                    "a handler takes one message: put both into one type, or write two handlers"
                }
                Parameter::Context => "the context is there already: remove this parameter",
                Parameter::Reason => "the reason is there already: remove this parameter",
                Parameter::Reply => "the reply is there already: remove this parameter",
            };
            self.fail(errors, ty, text);
            return;
        }
        if parameter == Parameter::Message {
            if let Some(what) = never_a_message(ty) {
                let text = format!(
                    "{what} is not a message: write a type of your own, as in \
                     `#[derive(Message)] struct Add({});`",
                    printed(ty)
                );
                self.fail(errors, ty, text);
                return;
            }
            self.message = Some(ty.clone());
        }
        self.order.push(parameter);
    }

    fn complete(&mut self, signature: &Signature, role: &Role, errors: &mut Errors) {
        if !self.is_good {
            return;
        }
        let is_handler = matches!(role, Role::Handle { .. } | Role::Subscribe(_));
        if is_handler && self.message.is_none() {
            let text = format!(
                "a handler takes a message: write `fn {}(&mut self, message: YourMessage)`",
                signature.ident
            );
            self.fail(errors, &signature.ident, text);
        } else if matches!(role, Role::Handle { is_deferred: true, .. })
            && !self.order.contains(&Parameter::Reply)
        {
            let message = self.message.as_ref().map(printed).unwrap_or_default();
            let text = format!(
                "a handler that replies later takes the reply too: add `reply: Reply<{message}>`"
            );
            self.fail(errors, &signature.ident, text);
        }
    }
}

fn last_word(ty: &Type) -> Option<String> {
    match peel(ty) {
        Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

/// What a type is that nobody can make a message of.
fn never_a_message(ty: &Type) -> Option<String> {
    const FOREIGN: &[&str] = &[
        "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize",
        "f32", "f64", "bool", "char", "str", "String",
    ];
    let is_foreign = match ty {
        Type::Tuple(_) | Type::Array(_) | Type::Slice(_) | Type::FnPtr(_) | Type::Ptr(_) => true,
        Type::Path(path) => {
            path.path.get_ident().is_some_and(|ident| FOREIGN.contains(&ident.to_string().as_str()))
        }
        _ => false,
    };
    is_foreign.then(|| format!("`{}`", printed(ty)))
}

/// A type as its writer would write it.
pub(super) fn printed(ty: &Type) -> String {
    let mut text = quote::ToTokens::to_token_stream(ty).to_string();
    for (spaced, close) in
        [(" :: ", "::"), (" <", "<"), ("< ", "<"), (" >", ">"), (" ,", ","), ("& ", "&")]
    {
        text = text.replace(spaced, close);
    }
    text
}
