//! `#[handlers]`: an inherent impl block becomes the messages of an actor.
//!
//! Owns which methods are handlers and hooks, the roles of their parameters, and the code that
//! brings a message to its method. The types are judged by the compiler: where a type must fulfil
//! something, the output asks for it once, at the place where the user wrote that type.

mod attr;
mod dispatch;
mod expand;
mod impls;
mod model;
mod params;
mod validate;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::{Item, ItemImpl};

use crate::attr::Errors;

/// The attributes that a method of the block can have.
pub(crate) const ROLES: &[&str] = &["handle", "started", "stopped", "every", "subscribe"];

/// The output of the attribute. With a mistake in one method, the others are handlers and the
/// message of that one is handled, so that nothing else gives an error.
pub(crate) fn expand(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    if !arguments.is_empty() {
        errors.at(
            arguments,
            "`#[handlers]` takes no settings: those of the actor stand in `#[actor(..)]`",
        );
    }
    let mut block = match syn::parse2::<Item>(item.clone()) {
        Ok(Item::Impl(block)) => block,
        Ok(other) => {
            errors.at(first_token(&other), "`#[handlers]` belongs on an `impl` block of the actor");
            let errors = errors.into_tokens();
            return quote!(#errors #other);
        }
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let methods = attr::take(&mut block, &mut errors);
    if !validate::block(&block, &mut errors) {
        let errors = errors.into_tokens();
        return quote!(#errors #block);
    }
    let expanded = expand_block(&block, methods, &mut errors);
    let errors = errors.into_tokens();
    quote!(#block #errors #expanded)
}

fn expand_block(block: &ItemImpl, methods: Vec<attr::Marked>, errors: &mut Errors) -> TokenStream {
    let mut model = model::Model::new(block, methods, errors);
    validate::methods(&mut model, errors);
    expand::expand(&model)
}

fn first_token(tokens: &impl ToTokens) -> TokenStream {
    tokens.to_token_stream().into_iter().take(1).collect()
}
