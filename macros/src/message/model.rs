use proc_macro2::{Ident, Span};
use syn::{DeriveInput, Expr, Generics, Type, ext::IdentExt};

use super::attr::Settings;

/// A message.
pub(super) struct Model<'a> {
    pub(super) ident: &'a Ident,
    pub(super) generics: &'a Generics,
    pub(super) name: String,
    /// Where the name stands.
    pub(super) name_span: Span,
    /// Whether the name is that of the type.
    pub(super) name_is_default: bool,
    pub(super) version: u32,
    /// The older version that it takes the place of.
    pub(super) from: Option<Type>,
    pub(super) reply: Option<Type>,
    pub(super) error: Option<Type>,
    pub(super) idempotent: bool,
    pub(super) failure: Option<Expr>,
    pub(super) size: Option<Expr>,
}

impl<'a> Model<'a> {
    pub(super) fn new(input: &'a DeriveInput, settings: Settings) -> Self {
        let type_name = input.ident.unraw().to_string();
        Self {
            ident: &input.ident,
            generics: &input.generics,
            name_span: settings.name.as_ref().map_or(input.ident.span(), syn::LitStr::span),
            name_is_default: settings.name.is_none(),
            name: settings.name.map_or(type_name, |name| name.value()),
            version: settings.version.unwrap_or(1),
            from: settings.from,
            reply: settings.reply,
            error: settings.error,
            idempotent: settings.idempotent,
            failure: settings.failure,
            size: settings.size,
        }
    }
}
