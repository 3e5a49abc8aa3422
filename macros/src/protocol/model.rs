use proc_macro2::Ident;
use syn::{
    Attribute, Token, Type, Visibility, braced,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
};

/// `pub CounterApi { Add, Get }`.
pub(super) struct Protocol {
    pub(super) attributes: Vec<Attribute>,
    pub(super) visibility: Visibility,
    pub(super) ident: Ident,
    pub(super) messages: Punctuated<Type, Token![,]>,
}

impl Parse for Protocol {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let how = "write a name and its messages: `protocol!(pub CounterApi { Add, Get })`";
        let ident =
            input.parse().map_err(|error: syn::Error| syn::Error::new(error.span(), how))?;
        if !input.peek(syn::token::Brace) {
            return Err(syn::Error::new(input.span(), how));
        }
        let content;
        braced!(content in input);
        let messages = Punctuated::parse_terminated(&content)?;
        if !input.is_empty() {
            return Err(syn::Error::new(input.span(), how));
        }
        Ok(Self { attributes, visibility, ident, messages })
    }
}
