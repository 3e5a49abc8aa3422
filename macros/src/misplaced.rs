//! The attributes of a block's methods, when they stand where no block is: they say so.
//!
//! Within an `#[handlers]` block they never run: the block takes them off its methods.

use proc_macro2::{Span, TokenStream};
use quote::quote;

pub(crate) fn explain(attribute: &str, item: &TokenStream) -> TokenStream {
    let text = format!(
        "`#[{attribute}]` belongs on a method of an `#[handlers]` block: write `#[handlers]` above the \
         `impl` of the actor"
    );
    let error = syn::Error::new(Span::call_site(), text).into_compile_error();
    quote!(#item #error)
}
