//! Derives and attributes of callboard. Use them through the `callboard` crate.
#![forbid(unsafe_code)]

mod actor;
mod attr;
mod handlers;
mod message;
mod paths;

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

/// Makes a message of a type.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    message::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes an actor of a type.
#[proc_macro_derive(Actor, attributes(actor))]
pub fn derive_actor(input: TokenStream) -> TokenStream {
    actor::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes the methods of an impl block the handlers of an actor.
#[proc_macro_attribute]
pub fn handlers(arguments: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(arguments.into(), item.into()).into()
}

/// What generated code may do that its writer would be told off for.
fn lints() -> proc_macro2::TokenStream {
    quote! {
        #[allow(
            non_camel_case_types,
            private_interfaces,
            private_bounds,
            unreachable_pub,
            unreachable_code,
            unreachable_patterns,
            missing_docs,
            missing_debug_implementations,
            non_local_definitions,
            unused_variables,
            unused_mut,
            dead_code,
            deprecated,
            clippy::all,
            clippy::pedantic,
            clippy::nursery
        )]
    }
}
