use crate::message::{Envelope, Message};

/// Chooses how an envelope lies in the enum of an actor's messages: large ones are boxed, so that
/// one large message does not make every move of every other slow.
#[derive(Debug)]
pub struct Pack<const LARGE: bool>;

/// An envelope as it lies in the enum.
pub type Packed<M, const LARGE: bool> = <Pack<LARGE> as Packing>::Of<M>;

/// Whether an envelope of this message is boxed: the enum with its tag stays within 32 bytes.
pub const fn is_large<M: Message>() -> bool {
    size_of::<Envelope<M>>() > 24
}

/// How to pack and unpack.
pub trait Packing {
    /// The packed form.
    type Of<M: Message>: Send + 'static;
    /// Packs.
    fn pack<M: Message>(envelope: Envelope<M>) -> Self::Of<M>;
    /// Unpacks.
    fn unpack<M: Message>(packed: Self::Of<M>) -> Envelope<M>;
}

impl Packing for Pack<false> {
    type Of<M: Message> = Envelope<M>;

    #[inline]
    fn pack<M: Message>(envelope: Envelope<M>) -> Envelope<M> {
        envelope
    }

    #[inline]
    fn unpack<M: Message>(packed: Envelope<M>) -> Envelope<M> {
        packed
    }
}

impl Packing for Pack<true> {
    type Of<M: Message> = Box<Envelope<M>>;

    fn pack<M: Message>(envelope: Envelope<M>) -> Box<Envelope<M>> {
        Box::new(envelope)
    }

    fn unpack<M: Message>(packed: Box<Envelope<M>>) -> Envelope<M> {
        *packed
    }
}
