//! Derives and attributes of callboard. Use them through the `callboard` crate.
//!
//! Each macro has a folder of the same shape: `attr` reads its settings, `model` is what they mean,
//! `validate` says what is wrong with it and what to write instead, `expand` generates. A mistake
//! leaves as much of the output standing as there can be, so that one mistake gives one error.
#![forbid(unsafe_code)]

mod actor;
mod attr;
mod entry;
mod handlers;
mod message;
mod misplaced;
mod paths;
mod protocol;

#[cfg(test)]
mod snapshots;

use proc_macro::TokenStream;
use quote::quote;
use syn::{DeriveInput, parse_macro_input};

/// Makes a message of a type: something that an actor can be told or asked.
///
/// # Settings
/// `#[message(..)]` takes, each at most once:
///
/// | setting | meaning | default |
/// |---|---|---|
/// | `name = "counter.get"` | its name on the wire: letters, digits, `.`, `_`, `-`, at most 128 bytes | the type's name |
/// | `version = 2` | its version on the wire | 1 |
/// | `from = AddV1` | an older version of the same name that its handlers take too: it becomes this one by `From`, and the reply (and error) becomes the older one's by `From`, unless they are the same | none |
/// | `reply = u64` | what an ask gives back | `()` |
/// | `error = Overdrawn` | the handler's own error: it then returns `Result<reply, error>` | none |
/// | `idempotent` | it does no harm to handle it twice: an ask of it may be tried on another instance | no |
/// | `failure = path` | a function `fn(&Outcome) -> bool` that says whether an outcome counts as a failure, so that a remote tell is tried again | none does |
/// | `size = path` | a function `fn(&Self) -> usize` that says what it counts against a mailbox's limit in bytes | the size of the value itself |
///
/// The parameters of a generic message get the bounds `Send + 'static`. To send a message to another
/// process derive `Serialize` and `Deserialize` for it, its reply and its error too; `serde` must be
/// among your own dependencies.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message, Serialize, Deserialize, Debug)]
/// #[message(name = "counter.get", version = 2, reply = u64, idempotent)]
/// struct Get;
///
/// #[derive(Message)]
/// #[message(reply = usize, size = |text| text.0.len())]
/// struct Length(String);
///
/// assert_eq!((Get::NAME, Get::VERSION, Get::IDEMPOTENT), ("counter.get", 2, true));
/// assert_eq!((Length::NAME, Length("four".into()).size_bytes()), ("Length", 4));
/// ```
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    message::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes an actor of a type that has an `#[handlers]` block.
///
/// # Settings
/// `#[actor(..)]` takes, each at most once:
///
/// | setting | default | bounds |
/// |---|---|---|
/// | `name = "counter"` | the type's name | letters, digits, `.`, `_`, `-`, at most 128 bytes |
/// | `mailbox(capacity = 1024)` messages | 1024 | 1 to 1048576 |
/// | `mailbox(bytes = "8 MiB")` or a number | 8 MiB | 1 KiB to 1 GiB |
/// | `mailbox(overflow = "wait")`, `"reject"` or `"drop_oldest"` | `"wait"` | |
/// | `cpu(weight = 2)` | 1 | 1 to 10000 |
/// | `cpu(cap = "250m")`, thousandths of a core, or cores as in `"1.5"` | none | 1m to 1024 |
/// | `restart(when = "failure")`, `"always"` or `"never"` | `"failure"` | |
/// | `restart(max = 5)` restarts `within = "30s"` | 5, 30 s | above zero |
/// | `restart(backoff = "100ms..10s")` shortest and longest wait | 100 ms, 10 s | above zero |
/// | `breaker` or `breaker(..)` switches the circuit breaker on | off | |
/// | `breaker(failures = 5)` in a row | 5 | from 1 |
/// | `breaker(failure_rate = 50, slow_rate = 80)` per cent | 50, 80 | 1 to 100 |
/// | `breaker(slow = "5s")` what is slow | 5 s | above zero |
/// | `breaker(minimum = 20)` outcomes in the `window = "30s"` before rates count | 20, 30 s | above zero |
/// | `breaker(probe_after = "1s")` or `"1s..60s"` first and longest wait | 1 s, 60 s | above zero |
/// | `breaker(probes = 3)` successes that close it | 3 | from 1 |
/// | `breaker(hung = "60s")` a handler that takes so long has failed | 60 s | above zero |
/// | `breaker(tell = "store")` or `"refuse"`: durable tells while it is open | `"store"` | |
/// | `stop(drain = "10s")` | 10 s | |
///
/// Durations are a number and `ns`, `us`, `ms`, `s`, `m`, `h` or `d`.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Actor, Default)]
/// #[actor(
///     mailbox(capacity = 1024, overflow = "wait"),
///     cpu(weight = 2),
///     restart(when = "failure", max = 5, within = "30s", backoff = "100ms..10s"),
///     breaker(failures = 5, probe_after = "1s"),
/// )]
/// struct Counter { total: u64 }
///
/// #[handlers]
/// impl Counter {}
///
/// assert_eq!(Counter::NAME, "Counter");
/// ```
#[proc_macro_derive(Actor, attributes(actor))]
pub fn derive_actor(input: TokenStream) -> TokenStream {
    actor::derive(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes the methods of an actor's `impl` block its handlers and hooks.
///
/// One block for each actor; an actor without handlers has an empty one. Methods are plain or async
/// and take `&mut self`; methods without one of these attributes stay what they are.
///
/// | attribute | takes | returns |
/// |---|---|---|
/// | `#[handle]` | the message, and `&mut Ctx<Self>` if it likes | the message's reply, or `Result<reply, error>` |
/// | `#[handle(defer)]` | the message and `Reply<Message>`, by which it answers when it likes | nothing |
/// | `#[subscribe("topic")]` | the event, and `&mut Ctx<Self>` if it likes | nothing |
/// | `#[every("30s")]` | `&mut Ctx<Self>` if it likes | nothing |
/// | `#[started]` | `&mut Ctx<Self>` if it likes | nothing, or `Result<(), E>` |
/// | `#[stopped]` | `&mut Ctx<Self>` and `&StopReason` if it likes | nothing |
///
/// The type of a parameter says what it is: an owned one is the message, `&mut` the context, `&` the
/// reason of a stop. Their order is free.
///
/// # From another process
/// A `#[handle]` can be called from another process exactly when its message and outcome are serde
/// types. `#[handle(local)]` never can, and a `ServiceRef` refuses it at compile time.
/// `#[handle(remote)]` must be able to: otherwise it is an error here. A message that names a type
/// parameter of a generic actor needs one of the two. A topic's events reach one instance of a
/// service, with `#[subscribe("topic", each)]` every one; one method may have several topics.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(reply = u64)]
/// struct Add(u64);
///
/// #[derive(Message, Serialize, Deserialize)]
/// struct Placed { id: u64 }
///
/// #[derive(Actor, Default)]
/// struct Counter { total: u64 }
///
/// #[handlers]
/// impl Counter {
///     #[started]
///     async fn boot(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> {
///         println!("{} starts", ctx.name());
///         Ok(())
///     }
///
///     #[handle]
///     fn add(&mut self, Add(n): Add) -> u64 {
///         self.total += n;
///         self.total
///     }
///
///     #[subscribe("orders.placed")]
///     async fn on_placed(&mut self, event: Placed) {
///         self.total = event.id;
///     }
///
///     #[every("30s")]
///     fn reset(&mut self) {
///         self.total = 0;
///     }
///
///     #[stopped]
///     fn bye(&mut self, why: &StopReason) {
///         println!("stopped: {why}");
///     }
/// }
///
/// #[callboard::main]
/// async fn main(system: System) -> callboard::Result<()> {
///     let counter = system.spawn(Counter::default)?;
///     assert_eq!(counter.ask(Add(2)).await?, 2);
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn handlers(arguments: TokenStream, item: TokenStream) -> TokenStream {
    handlers::expand(arguments.into(), item.into()).into()
}

/// Runs an async `main` on a runtime of its own.
///
/// With a parameter of type `System` it gets one that was started with the settings of the
/// environment; it is shut down when `main` returns, also with an error. `main` then returns nothing
/// or a `Result` whose error is made from `callboard::Error`.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[callboard::main]
/// async fn main(system: System) -> callboard::Result<()> {
///     println!("{system:?} is up");
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn main(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Kind::Main, arguments.into(), item.into()).into()
}

/// Makes a test of an async function: one thread, and a clock that stands still while there is work
/// and jumps to the next timer when there is none. Needs the feature `testing`.
///
/// With a parameter of type `System` it gets one on the same thread, which is shut down after it;
/// with one of type `callboard::testing::TestSystem` the test kit, which also fails the test when a
/// handler panicked.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[callboard::test]
/// async fn a_minute_passes_at_once(system: System) -> callboard::Result<()> {
///     tokio::time::sleep(Duration::from_secs(60)).await;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn test(arguments: TokenStream, item: TokenStream) -> TokenStream {
    entry::expand(entry::Kind::Test, arguments.into(), item.into()).into()
}

/// Declares a type that stands for a service by its messages, so that a client need not link the
/// actor: `ServiceRef<CounterApi>` can be sent what is listed.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message, Serialize, Deserialize)]
/// #[message(reply = u64)]
/// pub struct Add(pub u64);
///
/// callboard::protocol! {
///     /// What can be asked of a counter.
///     pub CounterApi { Add }
/// }
///
/// async fn add(counter: &ServiceRef<CounterApi>) -> Result<u64, AskError> {
///     counter.ask(Add(1)).await
/// }
/// ```
#[proc_macro]
pub fn protocol(input: TokenStream) -> TokenStream {
    protocol::expand(input.into()).into()
}

/// Marks a method of an [`macro@handlers`] block as the handler of its message. Stands nowhere else.
#[proc_macro_attribute]
pub fn handle(_: TokenStream, item: TokenStream) -> TokenStream {
    misplaced::explain("handle", &item.into()).into()
}

/// Marks a method of an [`macro@handlers`] block that runs before the first message. Stands nowhere
/// else.
#[proc_macro_attribute]
pub fn started(_: TokenStream, item: TokenStream) -> TokenStream {
    misplaced::explain("started", &item.into()).into()
}

/// Marks a method of an [`macro@handlers`] block that runs after the last message. Stands nowhere
/// else.
#[proc_macro_attribute]
pub fn stopped(_: TokenStream, item: TokenStream) -> TokenStream {
    misplaced::explain("stopped", &item.into()).into()
}

/// Marks a method of an [`macro@handlers`] block that time calls. Stands nowhere else.
#[proc_macro_attribute]
pub fn every(_: TokenStream, item: TokenStream) -> TokenStream {
    misplaced::explain("every", &item.into()).into()
}

/// Marks a method of an [`macro@handlers`] block as the handler of a topic's events. Stands nowhere
/// else.
#[proc_macro_attribute]
pub fn subscribe(_: TokenStream, item: TokenStream) -> TokenStream {
    misplaced::explain("subscribe", &item.into()).into()
}

/// What generated code may do that its writer would be told off for.
fn lints() -> proc_macro2::TokenStream {
    quote! {
        #[allow(
            non_camel_case_types,
            private_interfaces,
            private_bounds,
            unreachable_pub,
            unreachable_code,
            unreachable_patterns,
            missing_docs,
            missing_debug_implementations,
            non_local_definitions,
            unused_variables,
            unused_mut,
            dead_code,
            deprecated,
            clippy::all,
            clippy::pedantic,
            clippy::nursery
        )]
    }
}
