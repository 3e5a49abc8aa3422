//! The absolute path of the crate, so that the output means the same whatever its surroundings are.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;

/// What generated code starts its paths with.
pub(crate) struct Paths {
    /// `::callboard::__private`, under the name that the dependency has in the user's manifest.
    pub(crate) private: TokenStream,
    /// `::callboard::__private::std`: the user's own `Result` or `Vec` can't stand in its way.
    pub(crate) std: TokenStream,
}

impl Paths {
    pub(crate) fn new() -> Self {
        let name = match crate_name("callboard") {
            Ok(FoundCrate::Name(name)) => name,
            // The crate declares `extern crate self as callboard`; its examples and tests see it
            // under that name anyway. Not found at all means that it comes by way of another crate.
            Ok(FoundCrate::Itself) | Err(_) => "callboard".to_owned(),
        };
        let name = Ident::new(&name, Span::call_site());
        let private = quote!(::#name::__private);
        let std = quote!(#private::std);
        Self { private, std }
    }
}
