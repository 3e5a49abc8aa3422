//! `protocol!`: a type that stands for a service where its actor is not linked.

mod expand;
mod model;
mod validate;

use proc_macro2::TokenStream;
use quote::quote;

use crate::attr::Errors;

/// The output of the macro.
pub(crate) fn expand(input: TokenStream) -> TokenStream {
    let model: model::Protocol = match syn::parse2(input) {
        Ok(model) => model,
        Err(error) => return error.into_compile_error(),
    };
    let mut errors = Errors::default();
    let messages = validate::distinct(&model, &mut errors);
    let expanded = expand::expand(&model, &messages);
    let errors = errors.into_tokens();
    quote!(#errors #expanded)
}
