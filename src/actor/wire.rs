use std::{any::Any, fmt, marker::PhantomData};

use crate::{
    bus::codec::{self, Codec, CodecError},
    message::{Message, Wire},
};

/// How a message and its outcome become bytes and back: function pointers, captured where it is
/// known that the message can travel.
pub struct WireFns<M: Message> {
    /// Encodes the message.
    pub encode: fn(Codec, &M, &mut Vec<u8>) -> Result<(), CodecError>,
    /// Decodes the message.
    pub decode: fn(Codec, &[u8]) -> Result<M, CodecError>,
    /// Encodes an outcome behind `Any`.
    pub encode_outcome: EncodeOutcome,
    /// Decodes an outcome.
    pub decode_outcome: fn(Codec, &[u8]) -> Result<M::Outcome, CodecError>,
}

/// Encodes an outcome whose type the caller does not know: behind `Any` is the `Option` of it, which
/// may be empty afterwards. What is not of the right type is an error.
pub type EncodeOutcome = fn(Codec, &mut dyn Any, &mut Vec<u8>) -> Result<(), CodecError>;

impl<M: Message> Clone for WireFns<M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Message> Copy for WireFns<M> {}

impl<M: Message> fmt::Debug for WireFns<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("WireFns").field(&M::NAME).finish()
    }
}

impl<M: Wire> WireFns<M> {
    /// The functions of this message.
    pub const fn new() -> Self {
        Self {
            encode: |codec, message, into| codec::encode(codec, message, into),
            decode: |codec, bytes| codec::decode(codec, bytes),
            encode_outcome: |codec, outcome, into| {
                let outcome = outcome.downcast_ref::<Option<M::Outcome>>().and_then(Option::as_ref);
                let outcome = outcome.ok_or_else(|| {
                    CodecError::Encode(format!("the outcome is not that of {}", M::NAME))
                })?;
                codec::encode(codec, outcome, into)
            },
            decode_outcome: |codec, bytes| codec::decode(codec, bytes),
        }
    }
}

impl<M: Wire> Default for WireFns<M> {
    fn default() -> Self {
        Self::new()
    }
}

/// [`Wire`] with a lifetime that nothing depends on: generated code bounds concrete types by it
/// (`where for<'x> Add: WireFor<'x>`), which rustc checks where it is used and not where it stands.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't travel to another process",
    label = "this message has no wire form",
    note = "derive `Serialize` and `Deserialize` for the message, its reply and its error; `serde` must be among your own dependencies"
)]
pub trait WireFor<'x>: Message {
    /// The functions.
    fn wire_fns() -> WireFns<Self>;
}

#[diagnostic::do_not_recommend]
impl<M: Wire> WireFor<'_> for M {
    fn wire_fns() -> WireFns<Self> {
        WireFns::new()
    }
}

/// Asks whether a concrete message can travel, without an error when it can't: with both traits in
/// scope, `(&Probe::<M>::NEW).wire()` finds [`ViaWire`] first and [`ViaLocal`] otherwise.
pub struct Probe<M>(PhantomData<fn(M)>);

impl<M> Probe<M> {
    /// The probe.
    pub const NEW: Self = Self(PhantomData);
}

impl<M> fmt::Debug for Probe<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

/// The message can travel.
pub trait ViaWire<M: Message> {
    /// Its functions.
    fn wire(&self) -> Option<WireFns<M>>;
}

impl<M: Wire> ViaWire<M> for Probe<M> {
    fn wire(&self) -> Option<WireFns<M>> {
        Some(WireFns::new())
    }
}

/// The message stays in its process.
pub trait ViaLocal<M: Message> {
    /// Nothing.
    fn wire(&self) -> Option<WireFns<M>>;
}

impl<M: Message> ViaLocal<M> for &Probe<M> {
    fn wire(&self) -> Option<WireFns<M>> {
        None
    }
}
