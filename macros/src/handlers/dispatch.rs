//! `impl Handlers`: how a message gets to its method, the hooks and the tables.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{ReturnType, spanned::Spanned};

use super::{
    model::{Handler, Method, Model},
    params::Parameter,
};
use crate::{actor::expand::expand_duration, paths::Paths};

pub(super) fn expand(model: &Model, paths: &Paths) -> TokenStream {
    let Paths { private, .. } = paths;
    let Model { actor, inbox, generics, .. } = model;
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let step = step(model, paths);
    let handle = handle(model, paths);
    let wrappers = wrappers(model, paths);
    let hooks = hooks(model, paths);
    let tables = tables(model, paths);
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::Handlers for #actor #where_clause {
            type Inbox = #inbox #type_generics;
            #step
            #handle
            #wrappers
            #hooks
            #tables
        }
    }
}

/// How the envelope of a message lies in the enum.
pub(super) fn pack(handler: &Handler, paths: &Paths) -> TokenStream {
    let message = &handler.message;
    let Paths { private, .. } = paths.at(handler.message_span);
    if handler.names_parameter {
        // Its size is known too late.
        return quote!(#private::Pack<false>);
    }
    quote_spanned!(handler.message_span=> #private::Pack<{ #private::is_large::<#message>() }>)
}

/// The call of a method. Its place is where the return type stands: there a wrong outcome is shown.
pub(super) fn call(method: &Method) -> TokenStream {
    let span = output_span(method);
    let mut ident = method.ident.clone();
    ident.set_span(span.resolved_at(ident.span()));
    let arguments = method.parameters.iter().map(|(parameter, span)| match parameter {
        Parameter::Message => quote_spanned!(*span=> __message),
        Parameter::Context => quote_spanned!(*span=> __ctx),
        Parameter::Reason => quote_spanned!(*span=> __why),
        Parameter::Reply => quote_spanned!(*span=> __reply),
    });
    quote_spanned!(span=> <Self>::#ident(self, #(#arguments),*))
}

pub(super) fn output_span(method: &Method) -> proc_macro2::Span {
    match &method.output {
        ReturnType::Default => method.ident.span(),
        ReturnType::Type(_, ty) => ty.span(),
    }
}

fn arm(
    handler: &Handler,
    inbox: &proc_macro2::Ident,
    paths: &Paths,
    body: &TokenStream,
) -> TokenStream {
    let Paths { private, std } = paths;
    let (cfgs, ident, message) = (&handler.method.cfgs, &handler.method.ident, &handler.message);
    let pack = pack(handler, paths);
    quote! {
        #(#cfgs)*
        #inbox::#ident(__packed) => {
            let __envelope = <#pack as #private::Packing>::unpack::<#message>(__packed);
            if let #std::option::Option::Some((__message, __replying)) = __ctx.open(__envelope) {
                #body
            }
        }
    }
}

/// Plain handlers run before any async code.
fn step(model: &Model, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let inbox = &model.inbox;
    let arms = model.sound().filter(|handler| !handler.method.is_async).map(|handler| {
        let call = call(&handler.method);
        let body = if handler.is_deferred {
            quote! {
                let __reply = __replying.defer(__ctx);
                #call;
            }
        } else {
            let message = &handler.message;
            let Paths { private, .. } = paths.at(output_span(&handler.method));
            let returned = quote_spanned! {output_span(&handler.method)=>
                #private::returned::<#message, _>(#call)
            };
            quote! {
                let __outcome = #returned;
                __replying.finish(__ctx, __outcome);
            }
        };
        arm(handler, inbox, paths, &body)
    });
    quote! {
        #[inline]
        fn __step(
            &mut self,
            __inbox: Self::Inbox,
            __ctx: &mut #private::Ctx<Self>,
        ) -> #std::option::Option<Self::Inbox> {
            match __inbox {
                #(#arms)*
                #inbox::__Remote(__delivery) => {
                    let __inbox = __ctx.receive(__delivery)?;
                    return <Self as #private::Handlers>::__step(self, __inbox, __ctx);
                }
                __other => return #std::option::Option::Some(__other),
            }
            #std::option::Option::None
        }
    }
}

/// The async handlers, the timers, and what stands outside the block.
fn handle(model: &Model, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let inbox = &model.inbox;
    let arms = model.sound().filter(|handler| handler.method.is_async).map(|handler| {
        let message = &handler.message;
        let body = if handler.is_deferred {
            let call = call(&handler.method);
            quote! {
                let __reply = __replying.defer(__ctx);
                #call.await;
            }
        } else {
            quote! {
                let __outcome =
                    <Self as #private::Handler<#message>>::handle(self, __message, __ctx).await;
                __replying.finish(__ctx, __outcome);
            }
        };
        arm(handler, inbox, paths, &body)
    });
    let ticks = model.ticks.iter().enumerate().map(|(at, (method, _))| {
        let (call, name) = (call(method), method.ident.to_string());
        let cfgs = &method.cfgs;
        let await_it = method.is_async.then(|| quote!(.await));
        let index = tick_index(at);
        quote! {
            #(#cfgs)*
            #inbox::__Tick(__index) if __index == #index => {
                __ctx.enter(#name);
                #call #await_it;
            }
        }
    });
    let indices = tick_indices(model, std);
    quote! {
        // Not an async fn: its future would hold its arguments twice.
        fn __handle(
            &mut self,
            __inbox: Self::Inbox,
            __ctx: &mut #private::Ctx<Self>,
        ) -> impl #std::future::Future<Output = ()> {
            #indices
            async move { match __inbox {
                #(#arms)*
                #(#ticks)*
                #inbox::__Boxed(__envelope) => {
                    #private::BoxedEnvelope::handle(__envelope, self, __ctx).await
                }
                __other => {
                    let __unhandled = <Self as #private::Handlers>::__step(self, __other, __ctx);
                    #std::debug_assert!(#std::option::Option::is_none(&__unhandled));
                }
            } }
        }
    }
}

fn tick_index(at: usize) -> proc_macro2::Ident {
    format_ident!("__TICK_{at}")
}

/// The places of the timers in their table, from which conditional compilation may take some.
fn tick_indices(model: &Model, std: &TokenStream) -> TokenStream {
    let mut before = quote!(0);
    let indices = model.ticks.iter().enumerate().map(|(at, (method, _))| {
        let index = tick_index(at);
        let value = before.clone();
        let conditions = method.cfgs.iter().filter_map(|cfg| cfg.meta.require_list().ok());
        let conditions = conditions.map(|list| &list.tokens);
        before = quote! { #index + #std::cfg!(all(#(#conditions),*)) as #std::primitive::u64 };
        quote!(const #index: #std::primitive::u64 = #value;)
    });
    quote!(#(#indices)*)
}

fn wrappers(model: &Model, Paths { private, std }: &Paths) -> TokenStream {
    let inbox = &model.inbox;
    quote! {
        fn __boxed(
            __envelope: #std::boxed::Box<dyn #private::BoxedEnvelope<Self>>,
        ) -> Self::Inbox {
            #inbox::__Boxed(__envelope)
        }

        fn __remote(
            __delivery: #private::RemoteDelivery,
        ) -> Self::Inbox {
            #inbox::__Remote(__delivery)
        }

        fn __tick(__index: #std::primitive::u64) -> Self::Inbox {
            #inbox::__Tick(__index)
        }
    }
}

fn hooks(model: &Model, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let started = model.started.iter().map(|method| {
        let (call, cfgs) = (call(method), &method.cfgs);
        let await_it = method.is_async.then(|| quote!(.await));
        let started = paths.at(output_span(method)).private;
        let started = quote_spanned! {output_span(method)=>
            #started::started(#call #await_it)
        };
        quote! {
            #(#cfgs)*
            async fn __started(
                &mut self,
                __ctx: &mut #private::Ctx<Self>,
            ) -> #std::result::Result<(), #private::BoxError> {
                #started
            }
        }
    });
    let stopped = model.stopped.iter().map(|method| {
        let (call, cfgs) = (call(method), &method.cfgs);
        let await_it = method.is_async.then(|| quote!(.await));
        quote! {
            #(#cfgs)*
            async fn __stopped(
                &mut self,
                __ctx: &mut #private::Ctx<Self>,
                __why: &#private::StopReason,
            ) {
                #call #await_it;
            }
        }
    });
    quote!(#(#started)* #(#stopped)*)
}

fn tables(model: &Model, paths: &Paths) -> TokenStream {
    let Paths { private, std } = paths;
    let ticks = model.ticks.iter().map(|(method, period)| {
        let (cfgs, name) = (&method.cfgs, method.ident.to_string());
        let period = expand_duration(*period, paths);
        quote!(#(#cfgs)* #private::Tick { method: #name, every: #period },)
    });
    let rows = model.sound().map(|handler| {
        let (cfgs, message) = (&handler.method.cfgs, &handler.message);
        let name = handler.method.ident.to_string();
        quote! {
            #(#cfgs)*
            __rows.push(#private::HandlerRow::new::<#message>(
                #name,
                <Self as #private::Handler<#message>>::__wire(),
            ));
        }
    });
    let count = Literal::usize_unsuffixed(model.sound().count());
    let topics = model.sound().flat_map(|handler| {
        let (cfgs, message) = (&handler.method.cfgs, &handler.message);
        handler.topics.iter().map(move |topic| {
            let (name, each) = (&topic.name, topic.each);
            let at = paths.at(handler.message_span).private;
            let event = quote_spanned!(handler.message_span=> #at::event_name::<#message>());
            quote!(#(#cfgs)* #private::TopicRow { topic: #name, message: #event, each: #each },)
        })
    });
    quote! {
        fn __ticks() -> &'static [#private::Tick] {
            const { &[#(#ticks)*] }
        }

        fn __table() -> #std::vec::Vec<#private::HandlerRow<Self>> {
            let mut __rows = #std::vec::Vec::with_capacity(#count);
            #(#rows)*
            __rows
        }

        fn __topics() -> &'static [#private::TopicRow] {
            const { &[#(#topics)*] }
        }
    }
}
