use std::time::Duration;

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote;
use syn::parse_quote;

use super::model::{Argument, Call, Model};
use crate::paths::Paths;

pub(super) fn expand(model: &Model<'_>) -> TokenStream {
    let paths = Paths::new();
    let Paths { private, std } = &paths;
    let Model { ident, name, .. } = model;
    let mut generics = model.generics.clone();
    if generics.type_params().next().is_some() {
        // The handlers of a generic actor may ask more of its parameters than the type does.
        let (_, type_generics, _) = model.generics.split_for_impl();
        let bound = parse_quote!(#ident #type_generics: #private::Handlers);
        generics.make_where_clause().predicates.push(bound);
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let calls = model.calls.iter().map(|call| expand_call(call, &paths));
    let allow = crate::lints();
    quote! {
        #allow
        #[automatically_derived]
        impl #impl_generics #private::Actor for #ident #type_generics #where_clause {
            const OPTIONS: #private::ActorOptions = #private::ActorOptions::new() #(#calls)*;
            const NAME: &'static #std::primitive::str = #name;
        }
    }
}

fn expand_call(call: &Call, paths: &Paths) -> TokenStream {
    let method = Ident::new(call.method, Span::call_site());
    let arguments = call.arguments.iter().map(|argument| expand_argument(argument, paths));
    quote!(.#method(#(#arguments),*))
}

fn expand_argument(argument: &Argument, paths: &Paths) -> TokenStream {
    let private = &paths.private;
    match argument {
        Argument::Number(number) => {
            let number = Literal::u64_unsuffixed(*number);
            quote!(#number)
        }
        Argument::Flag(flag) => quote!(#flag),
        Argument::Time(time) => expand_duration(*time, paths),
        Argument::Variant(of, variant) => {
            let (of, variant) =
                (Ident::new(of, Span::call_site()), Ident::new(variant, Span::call_site()));
            quote!(#private::#of::#variant)
        }
    }
}

/// A duration as a constant expression.
pub(crate) fn expand_duration(time: Duration, paths: &Paths) -> TokenStream {
    let std = &paths.std;
    let (seconds, nanoseconds) =
        (Literal::u64_unsuffixed(time.as_secs()), Literal::u32_unsuffixed(time.subsec_nanos()));
    quote!(#std::time::Duration::new(#seconds, #nanoseconds))
}
