use std::time::Duration;

use proc_macro2::{Ident, Span};
use syn::{DeriveInput, Generics, LitStr, ext::IdentExt};

/// One call of the builder of `ActorOptions`.
pub(super) struct Call {
    /// The method.
    pub(super) method: &'static str,
    /// What it is given.
    pub(super) arguments: Vec<Argument>,
}

/// What a setting is, after it was read.
pub(super) enum Argument {
    Number(u64),
    Flag(bool),
    Time(Duration),
    /// A variant of one of the library's enums.
    Variant(&'static str, &'static str),
}

/// What `#[actor(..)]` says.
#[derive(Default)]
pub(super) struct Settings {
    pub(super) name: Option<LitStr>,
    pub(super) calls: Vec<Call>,
}

impl Settings {
    pub(super) fn call(&mut self, method: &'static str, arguments: Vec<Argument>) {
        self.calls.push(Call { method, arguments });
    }
}

/// An actor.
pub(super) struct Model<'a> {
    pub(super) ident: &'a Ident,
    pub(super) generics: &'a Generics,
    pub(super) name: String,
    /// Where the name stands.
    pub(super) name_span: Span,
    /// Whether the name is that of the type.
    pub(super) name_is_default: bool,
    pub(super) calls: Vec<Call>,
}

impl<'a> Model<'a> {
    pub(super) fn new(input: &'a DeriveInput, settings: Settings) -> Self {
        let type_name = input.ident.unraw().to_string();
        Self {
            ident: &input.ident,
            generics: &input.generics,
            name_span: settings.name.as_ref().map_or(input.ident.span(), LitStr::span),
            name_is_default: settings.name.is_none(),
            name: settings.name.map_or(type_name, |name| name.value()),
            calls: settings.calls,
        }
    }
}
