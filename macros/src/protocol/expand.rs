use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Type, spanned::Spanned};

use super::model::Protocol;
use crate::paths::Paths;

pub(super) fn expand(protocol: &Protocol, messages: &[&Type]) -> TokenStream {
    let paths = Paths::new();
    let Paths { private, std } = &paths;
    let Protocol { attributes, visibility, ident, .. } = protocol;
    let serves = messages.iter().map(|message| {
        let fns = quote_spanned! {message.span()=>
            <#message as #private::WireFor<'_>>::wire_fns()
        };
        quote! {
            #[automatically_derived]
            impl #private::Serves<#message> for #ident {
                fn __wire() -> #private::WireFns<#message> {
                    #fns
                }
            }
        }
    });
    let names = messages.iter().enumerate().map(|(at, message)| {
        let row = at.to_string();
        // Who sends may name several versions, whichever of them takes the place of another.
        quote_spanned! {message.span()=>
            (
                #row,
                <#message as #private::Message>::NAME,
                <#message as #private::Message>::VERSION,
                &#private::Older::None,
            ),
        }
    });
    let checks = messages.iter().enumerate().map(|(at, message)| {
        let row = at.to_string();
        let private = paths.at(message.span()).private;
        quote_spanned! {message.span()=>
            const _: () = #private::assert_wire_name_is_free(__WIRE_NAMES, #row);
        }
    });
    let allow = crate::lints();
    quote! {
        #(#attributes)*
        #[derive(#std::fmt::Debug)]
        #visibility enum #ident {}

        #allow
        const _: () = {
            #(#serves)*
            const __WIRE_NAMES: &[(
                &#std::primitive::str,
                &#std::primitive::str,
                #std::primitive::u32,
                &#private::Older,
            )] = &[#(#names)*];
            #(#checks)*
        };
    }
}
