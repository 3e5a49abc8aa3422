use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use super::{Older, OlderVisitor};

/// Something that an actor can be told or asked.
///
/// Derive it: `#[derive(Message)] #[message(reply = u64)]`.
///
/// # Examples
/// ```
/// use callboard::prelude::*;
///
/// #[derive(Message, Serialize, Deserialize, Debug)]
/// #[message(name = "counter.get", version = 2, reply = u64)]
/// struct Get;
/// assert_eq!((Get::NAME, Get::VERSION), ("counter.get", 2));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message",
    label = "this is sent or handled as a message",
    note = "add `#[derive(Message)]` to it, and `#[message(reply = ..)]` when it has a reply"
)]
pub trait Message: Sized + Send + 'static {
    /// What an ask gives back.
    type Reply: Send + 'static;
    /// The handler's own error; `Infallible` unless the message declares `error = ..`.
    type Error: std::error::Error + Send + Sync + 'static;
    /// What the handler returns: the reply, or a `Result` of reply and error.
    type Outcome: Send + 'static;
    /// The name on the wire, unique within a service together with the version.
    const NAME: &'static str;
    /// The version on the wire.
    const VERSION: u32;
    /// Whether it does no harm to handle it twice: an ask of it may be tried on another instance.
    const IDEMPOTENT: bool = false;

    /// Splits an outcome into reply and error.
    ///
    /// # Errors
    /// The handler's own error.
    fn into_result(outcome: Self::Outcome) -> Result<Self::Reply, Self::Error>;

    /// Whether this outcome counts as a failure of the handler, so that a remote tell is tried
    /// again. By default no outcome does: an error of the domain is an answer.
    fn is_failure(outcome: &Self::Outcome) -> bool {
        let _ = outcome;
        false
    }

    /// What the message counts against a mailbox's limit in bytes. Called once per send. The default
    /// is the size of the value itself, without what it points to.
    fn size_bytes(&self) -> usize {
        size_of_val(self)
    }

    /// The older versions that it takes the place of.
    #[doc(hidden)]
    const __OLDER: &'static Older = &Older::None;

    /// Shows the next of them, as a type.
    #[doc(hidden)]
    fn __older<V: OlderVisitor<Self>>(visitor: &mut V) {
        let _ = visitor;
    }

    /// Shows the message to whoever debugs: as its `Debug` does if it has one, else by its name.
    #[doc(hidden)]
    fn __show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::NAME)
    }
}

/// A message that can travel to another process: it and its outcome are serde types.
///
/// Nothing implements it by hand: derive `Serialize` and `Deserialize` (from the `serde` crate,
/// which must be a dependency of yours).
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't travel to another process",
    note = "derive `Serialize` and `Deserialize` for the message, its reply and its error; `serde` must be among your own dependencies"
)]
pub trait Wire:
    Message<Outcome: Serialize + DeserializeOwned> + Serialize + DeserializeOwned
{
}

#[diagnostic::do_not_recommend]
impl<M> Wire for M where
    M: Message<Outcome: Serialize + DeserializeOwned> + Serialize + DeserializeOwned
{
}
