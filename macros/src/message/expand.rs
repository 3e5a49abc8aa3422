use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{parse_quote, spanned::Spanned};

use super::model::Model;
use crate::paths::Paths;

pub(super) fn expand(model: &Model<'_>) -> TokenStream {
    let Paths { private, std } = Paths::new();
    let Model { ident, name, version, idempotent, .. } = model;
    let mut generics = model.generics.clone();
    for parameter in generics.type_params_mut() {
        parameter.bounds.push(parse_quote!(#std::marker::Send));
        parameter.bounds.push(parse_quote!('static));
    }
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let reply = model.reply.as_ref().map_or_else(|| quote!(()), |reply| quote!(#reply));
    let (error, outcome, result) = match &model.error {
        Some(error) => {
            (quote!(#error), quote!(#std::result::Result<#reply, #error>), quote!(__outcome))
        }
        None => (
            quote!(#std::convert::Infallible),
            reply.clone(),
            quote!(#std::result::Result::Ok(__outcome)),
        ),
    };
    let functions = functions(model, &std);
    let (older, replaces) = versions(model);
    let allow = crate::lints();
    quote! {
        #allow
        #[automatically_derived]
        impl #impl_generics #private::Message for #ident #type_generics #where_clause {
            type Reply = #reply;
            type Error = #error;
            type Outcome = #outcome;
            const NAME: &'static #std::primitive::str = #name;
            const VERSION: #std::primitive::u32 = #version;
            const IDEMPOTENT: #std::primitive::bool = #idempotent;
            #older

            fn into_result(
                __outcome: Self::Outcome,
            ) -> #std::result::Result<Self::Reply, Self::Error> {
                #result
            }

            fn __show(
                &self,
                __formatter: &mut #std::fmt::Formatter<'_>,
            ) -> #std::fmt::Result {
                use #private::{ViaDebug as _, ViaName as _};
                (&#private::Shown(self)).show(__formatter)
            }
            #functions
        }
        #replaces
    }
}

/// What the message says of the older version that it takes the place of: within its own `impl`, and
/// beside it.
fn versions(model: &Model<'_>) -> (TokenStream, TokenStream) {
    let from = model.from.as_ref().filter(|_| model.generics.params.is_empty());
    let Some(from) = from else { return Default::default() };
    let (paths, ident) = (Paths::new(), model.ident);
    let Paths { private, .. } = &paths;
    // Mistakes are shown where the older version stands.
    let at = paths.at(from.span()).private;
    let visit = quote_spanned!(from.span()=> #at::OlderVisitor::visit::<#from>(__visitor));
    let upgraded = quote_spanned!(from.span()=> #at::upgraded::<#from, Self>(__old));
    let downgraded = quote_spanned!(from.span()=> #at::downgraded::<Self, #from>(__outcome));
    let check = quote_spanned! {from.span()=>
        const _: () = #at::assert_is_older::<#from, #ident>();
    };
    let within = quote! {
        const __OLDER: &'static #private::Older = &#private::Older::Version {
            version: <#from as #private::Message>::VERSION,
            then: <#from as #private::Message>::__OLDER,
        };

        fn __older<__V: #private::OlderVisitor<Self>>(__visitor: &mut __V) {
            #visit
        }
    };
    let allow = crate::lints();
    let beside = quote! {
        #allow
        #[automatically_derived]
        impl #private::Replaces<#from> for #ident {
            fn upgrade(__old: #from) -> Self {
                #upgraded
            }

            fn downgrade(
                __outcome: Self::Outcome,
            ) -> <#from as #private::Message>::Outcome {
                #downgraded
            }
        }
        #check
    };
    (within, beside)
}

/// The functions that the user names, called through a typed pointer: a wrong one is refused where
/// its name stands.
fn functions(model: &Model<'_>, std: &TokenStream) -> TokenStream {
    let failure = model.failure.as_ref().map(|function| {
        let call = quote_spanned! {function.span()=>
            let __function: fn(&Self::Outcome) -> #std::primitive::bool = #function;
        };
        quote! {
            fn is_failure(__outcome: &Self::Outcome) -> #std::primitive::bool {
                #call
                __function(__outcome)
            }
        }
    });
    let size = model.size.as_ref().map(|function| {
        let call = quote_spanned! {function.span()=>
            let __function: fn(&Self) -> #std::primitive::usize = #function;
        };
        quote! {
            fn size_bytes(&self) -> #std::primitive::usize {
                #call
                __function(self)
            }
        }
    });
    quote!(#failure #size)
}
