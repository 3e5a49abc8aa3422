//! `impl Handler<M>` and `impl Serves<M>` for each handler.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};

use super::{
    attr::Reach,
    dispatch::{call, output_span, pack},
    model::{Handler, Model},
};
use crate::paths::Paths;

pub(super) fn expand(model: &Model, paths: &Paths) -> TokenStream {
    let impls = model.handlers.iter().map(|handler| {
        if handler.is_broken {
            return broken(model, handler, paths);
        }
        let handles = handles(model, handler, paths);
        let serves = serves(model, handler, paths);
        quote!(#handles #serves)
    });
    quote!(#(#impls)*)
}

fn handles(model: &Model, handler: &Handler, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let Model { actor, inbox, generics, .. } = model;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (cfgs, ident, message) = (&handler.method.cfgs, &handler.method.ident, &handler.message);
    let pack = pack(handler, paths);
    let body = body(handler, paths);
    let wire = wire(handler, paths);
    let head = paths.at(handler.message_span).private;
    let head = quote_spanned!(handler.message_span=> #head::Handler<#message>);
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        impl #impl_generics #head for #actor #where_clause {
            #[inline]
            fn handle(
                &mut self,
                __message: #message,
                __ctx: &mut #private::Ctx<Self>,
            ) -> impl #std::future::Future<Output = <#message as #private::Message>::Outcome> {
                #body
            }

            #[inline]
            fn __wrap(__envelope: #private::Envelope<#message>) -> Self::Inbox {
                #inbox::#ident(<#pack as #private::Packing>::pack(__envelope))
            }

            fn __wire() -> #std::option::Option<#private::WireFns<#message>> {
                #wire
            }
        }
    }
}

/// The future of the outcome.
fn body(handler: &Handler, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let (method, message) = (&handler.method, &handler.message);
    let call = call(method);
    let span = output_span(method);
    let at = paths.at(span).private;
    if handler.is_deferred {
        let await_it = method.is_async.then(|| quote!(.await));
        return quote! {
            async move {
                let (__reply, __outcome) = #private::Reply::<#message>::channel();
                #call #await_it;
                __outcome.await
            }
        };
    }
    if method.is_async {
        return quote_spanned! {span=>
            #at::returned_future::<#message, _>(#call, |__value| #at::returned::<#message, _>(__value))
        };
    }
    let returned = quote_spanned!(span=> #at::returned::<#message, _>(#call));
    quote!(#std::future::ready(#returned))
}

/// How the message travels: probed where it is not said.
fn wire(handler: &Handler, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let message = &handler.message;
    match handler.reach {
        Reach::Local => quote!(#std::option::Option::None),
        Reach::Remote => {
            quote!(#std::option::Option::Some(<Self as #private::Serves<#message>>::__wire()))
        }
        Reach::Auto => quote! {
            use #private::{ViaLocal as _, ViaWire as _};
            (&#private::Probe::<#message>::NEW).wire()
        },
    }
}

fn serves(model: &Model, handler: &Handler, paths: &Paths) -> TokenStream {
    let Paths { private, .. } = paths;
    let Model { actor, generics, .. } = model;
    let (cfgs, message) = (&handler.method.cfgs, &handler.message);
    let mut generics = generics.clone();
    match handler.reach {
        Reach::Local => return TokenStream::new(),
        Reach::Remote => {}
        // Under a lifetime that nothing depends on, the bound is judged where it is used.
        Reach::Auto => generics
            .make_where_clause()
            .predicates
            .push(syn::parse_quote!(for<'__x> #message: #private::WireFor<'__x>)),
    }
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let at = paths.at(handler.message_span).private;
    let fns = quote_spanned! {handler.message_span=>
        <#message as #at::WireFor<'_>>::wire_fns()
    };
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        impl #impl_generics #private::Serves<#message> for #actor #where_clause {
            fn __wire() -> #private::WireFns<#message> {
                #fns
            }
        }
    }
}

/// That the message of a method with a mistake is handled, so that sending it is no second mistake.
fn broken(model: &Model, handler: &Handler, Paths { private, std }: &Paths) -> TokenStream {
    let Model { actor, generics, .. } = model;
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (cfgs, message) = (&handler.method.cfgs, &handler.message);
    quote! {
        #(#cfgs)*
        #[automatically_derived]
        impl #impl_generics #private::Handler<#message> for #actor #where_clause {
            fn handle(
                &mut self,
                __message: #message,
                __ctx: &mut #private::Ctx<Self>,
            ) -> impl #std::future::Future<Output = <#message as #private::Message>::Outcome> {
                #std::future::pending()
            }
        }
    }
}
