use crate::{actor::WireFns, message::Message};

/// That a service of this kind can be sent this message from any process.
///
/// `#[handlers]` implements it for each handler that can be called from another process,
/// `protocol!` for the messages that it lists.
#[diagnostic::on_unimplemented(
    message = "`{M}` can't be sent to a service of `{Self}`",
    label = "not a message of this service",
    note = "the `#[handlers]` block of `{Self}` needs a `#[handle]` method for `{M}` that is not `#[handle(local)]`, and `{M}` and its reply must derive `Serialize` and `Deserialize`"
)]
pub trait Serves<M: Message> {
    /// How the message travels.
    #[doc(hidden)]
    fn __wire() -> WireFns<M>;
}

/// [`Serves`], seen from the message, so that the compiler looks at the argument first.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't be sent to a service of `{P}`",
    label = "not a message of this service",
    note = "the `#[handlers]` block of `{P}` needs a `#[handle]` method for `{Self}` that is not `#[handle(local)]`, and `{Self}` and its reply must derive `Serialize` and `Deserialize`"
)]
pub trait ServedBy<P: ?Sized>: Message {
    /// How the message travels.
    #[doc(hidden)]
    fn __service_wire() -> WireFns<Self>;
}

#[diagnostic::do_not_recommend]
impl<P: ?Sized + Serves<M>, M: Message> ServedBy<P> for M {
    fn __service_wire() -> WireFns<M> {
        P::__wire()
    }
}
