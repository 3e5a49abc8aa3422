//! `#[callboard::main]` and `#[callboard::test]`: an async function with a runtime round it, and a
//! system if it takes one.

mod expand;
mod validate;

use proc_macro2::TokenStream;
use quote::quote;
use syn::ItemFn;

use crate::attr::Errors;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Main,
    Test,
}

/// The output of the attribute.
pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> TokenStream {
    let function: ItemFn = match syn::parse2(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote!(#error #item);
        }
    };
    let mut errors = Errors::default();
    if validate::check(kind, &arguments, &function, &mut errors) {
        return expand::expand(kind, &function);
    }
    let errors = errors.into_tokens();
    // The program has its `main` all the same: that there is none is no second mistake.
    let stand_in = (kind == Kind::Main).then(|| {
        let ident = &function.sig.ident;
        quote!(fn #ident() {})
    });
    quote!(#errors #stand_in)
}
