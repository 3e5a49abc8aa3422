//! What the macros generate, pinned: a change of the output is seen in review. After a change that
//! is meant, run the tests once with `CALLBOARD_PIN=1`.

use std::{fs, path::Path};

use proc_macro2::TokenStream;
use quote::quote;
use syn::parse_quote;

fn assert_pinned(name: &str, output: TokenStream) {
    let file: syn::File = syn::parse2(output).expect("the output is Rust");
    let printed = prettyplease::unparse(&file);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/snapshots/{name}.txt"));
    if std::env::var_os("CALLBOARD_PIN").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        fs::write(&path, printed).expect("the pin can be written");
        return;
    }
    let pinned = fs::read_to_string(&path).unwrap_or_default();
    assert!(printed == pinned, "{} differs; the output now is\n{printed}", path.display());
}

#[test]
fn a_message_is_pinned() {
    let plain = crate::message::derive(&parse_quote! {
        #[message(reply = u64)]
        pub struct Add(u64);
    });
    let full = crate::message::derive(&parse_quote! {
        #[message(
            name = "shop.take", version = 3, reply = Vec<(T, u8)>, error = Overdrawn, idempotent,
            failure = Result::is_err, size = |message| message.0.len(),
        )]
        struct Take<T: Clone>(T) where T: AsRef<[u8]>;
    });
    let newer = crate::message::derive(&parse_quote! {
        #[message(version = 2, from = AddV1)]
        struct Add(u64);
    });
    assert_pinned("message", quote!(#plain #full #newer));
}

#[test]
fn an_actor_is_pinned() {
    let plain = crate::actor::derive(&parse_quote!(
        struct Counter;
    ));
    let full = crate::actor::derive(&parse_quote! {
        #[actor(name = "store", mailbox(capacity = 1_024, bytes = 4096, overflow = "reject"))]
        #[actor(cpu(cap = "0.5"), restart(backoff = "1ms..2s"), breaker, stop(drain = "0s"))]
        struct Store<T: Clone, const N: usize>([T; N]);
    });
    assert_pinned("actor", quote!(#plain #full));
}

#[test]
fn handlers_are_pinned() {
    let block = quote! {
        impl Counter {
            #[started]
            async fn boot(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> { Ok(()) }
            #[handle]
            fn add(&mut self, Add(n): Add) -> u64 { n }
            #[cfg(feature = "x")]
            #[handle(remote)]
            async fn get(&mut self, ctx: &mut Ctx<Self>, _: Get) -> u64 { 1 }
            #[handle(local, defer)]
            fn later(&mut self, _: Later, reply: Reply<Later>) {}
            #[subscribe("orders.placed", each)]
            async fn placed(&mut self, event: Placed) {}
            #[every("30s")]
            fn tick(&mut self) {}
            #[stopped]
            fn bye(&mut self, why: &StopReason) {}
            fn own(&self) {}
        }
    };
    assert_pinned("handlers", crate::handlers::expand(TokenStream::new(), block));
}

#[test]
fn generic_handlers_are_pinned() {
    let block = quote! {
        impl<T, const N: usize> Store<T, N>
        where
            T: Send + 'static,
            Self: Sized,
        {
            #[handle(local)]
            fn put(&mut self, Put(value): Put<Self>) -> Option<T> { None }
            #[handle]
            fn add(&mut self, Add(n): Add) -> u64 { n }
        }
    };
    assert_pinned("generic_handlers", crate::handlers::expand(TokenStream::new(), block));
}

#[test]
fn entry_points_are_pinned() {
    use crate::entry::{Kind, expand};
    let none = TokenStream::new;
    let outputs = [
        expand(
            Kind::Main,
            none(),
            quote!(
                async fn main() {
                    start().await
                }
            ),
        ),
        expand(
            Kind::Main,
            none(),
            quote!(
                async fn main(system: System) -> Result<()> {
                    Ok(())
                }
            ),
        ),
        expand(
            Kind::Test,
            none(),
            quote!(
                #[should_panic]
                async fn first() {}
            ),
        ),
        expand(
            Kind::Test,
            none(),
            quote!(
                async fn second(mut system: System) {}
            ),
        ),
    ];
    assert_pinned("entry", quote!(#(#outputs)*));
}

#[test]
fn a_protocol_is_pinned() {
    let output = crate::protocol::expand(quote! {
        /// The counter from outside.
        pub(crate) CounterApi { Add, shop::Get<u8> }
    });
    assert_pinned("protocol", output);
}

#[test]
fn a_mistake_leaves_the_rest_standing() {
    let block = quote! {
        impl Counter {
            #[handle]
            fn add(&mut self, message: &Add) -> u64 { 1 }
        }
    };
    assert_pinned("mistake", crate::handlers::expand(TokenStream::new(), block));
}
