//! `#[derive(Actor)]`.

mod attr;
pub(crate) mod expand;
mod model;
mod validate;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::attr::Errors;

/// The output of the derive. With a mistake in its settings, the type is an actor with the others.
pub(crate) fn derive(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::default();
    let settings = attr::read(&input.attrs, &mut errors);
    let model = model::Model::new(input, settings);
    validate::check(&model, &mut errors);
    // Nothing can be generated for a borrowed type that the compiler would not refuse again.
    let is_owned = model.generics.lifetimes().next().is_none();
    let expanded = is_owned.then(|| expand::expand(&model));
    let errors = errors.into_tokens();
    quote!(#errors #expanded)
}
