//! The absolute path of the crate, so that the output means the same whatever its surroundings are.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
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
        Self::named(&Ident::new(&name, Span::call_site()))
    }

    /// The same with the place of something that the user wrote: what is wrong with it is shown there.
    pub(crate) fn at(&self, span: Span) -> Self {
        Self { private: at(&self.private, span), std: at(&self.std, span) }
    }

    fn named(name: &Ident) -> Self {
        let private = quote!(::#name::__private);
        let std = quote!(#private::std);
        Self { private, std }
    }
}

fn at(path: &TokenStream, span: Span) -> TokenStream {
    let moved = path.clone().into_iter().map(|mut token: TokenTree| {
        token.set_span(span.resolved_at(token.span()));
        token
    });
    moved.collect()
}
