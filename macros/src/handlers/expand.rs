//! Puts the output together: everything lies in one `const _`, so that no name of it is visible.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::{dispatch, impls, model::Model};
use crate::paths::Paths;

pub(super) fn expand(model: &Model) -> TokenStream {
    let paths = Paths::new();
    let inbox = inbox(model, &paths);
    let handlers = dispatch::expand(model, &paths);
    let impls = impls::expand(model, &paths);
    let distinct = distinct(model, &paths);
    let allow = crate::lints();
    quote! {
        #allow
        const _: () = {
            #inbox
            #handlers
            #impls
            #distinct
        };
    }
}

/// The enum of the actor's messages.
fn inbox(model: &Model, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let Model { actor, inbox, generics, .. } = model;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let variants = model.sound().map(|handler| {
        let (cfgs, ident) = (&handler.method.cfgs, &handler.method.ident);
        let pack = dispatch::pack(handler, paths);
        let message = &handler.message;
        let span = handler.message_span;
        let at = paths.at(span).private;
        quote_spanned!(span=> #(#cfgs)* #ident(<#pack as #at::Packing>::Of<#message>),)
    });
    // Without it an enum must use its parameters.
    let parameters: Vec<_> = generics.type_params().map(|parameter| &parameter.ident).collect();
    let phantom = (!parameters.is_empty()).then(|| {
        quote! {
            __Never(
                #std::convert::Infallible,
                #std::marker::PhantomData<fn() -> (#(#std::marker::PhantomData<#parameters>,)*)>,
            ),
        }
    });
    // The index of a tick is a word wide so that the tag of the enum is: a narrow field beside the tag
    // makes it narrow, and a message is then moved in pieces that are read together right after,
    // which stalls.
    quote! {
        #[doc(hidden)]
        pub enum #inbox #impl_generics #where_clause {
            #(#variants)*
            __Tick(#std::primitive::u64),
            __Boxed(#std::boxed::Box<dyn #private::BoxedEnvelope<#actor>>),
            __Remote(#private::RemoteDelivery),
            #phantom
        }
    }
}

/// The check that wire name and version are distinct within the block. Messages that name a
/// parameter of the actor have no name before it is known.
fn distinct(model: &Model, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let named: Vec<_> = model.sound().filter(|handler| !handler.names_parameter).collect();
    if named.len() < 2 {
        return TokenStream::new();
    }
    let rows = named.iter().map(|handler| {
        let (cfgs, message) = (&handler.method.cfgs, &handler.message);
        let private = paths.at(handler.message_span).private;
        let method = handler.method.ident.to_string();
        quote_spanned! {handler.message_span=>
            #(#cfgs)*
            (
                #method,
                <#message as #private::Message>::NAME,
                <#message as #private::Message>::VERSION,
                <#message as #private::Message>::__OLDER,
            ),
        }
    });
    let checks = named.iter().map(|handler| {
        let cfgs = &handler.method.cfgs;
        let method = handler.method.ident.to_string();
        let private = paths.at(handler.message_span).private;
        quote_spanned! {handler.message_span=>
            #(#cfgs)*
            const _: () = #private::assert_wire_name_is_free(__WIRE_NAMES, #method);
        }
    });
    quote! {
        const __WIRE_NAMES: &[(
            &#std::primitive::str,
            &#std::primitive::str,
            #std::primitive::u32,
            &#private::Older,
        )] = &[#(#rows)*];
        #(#checks)*
    }
}
