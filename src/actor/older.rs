//! The rows of a handler's table for older versions of its message.

use std::marker::PhantomData;

use super::{EncodeOutcome, Handler, HandlerRow};
use crate::{
    bus::codec::{self, Codec, CodecError},
    message::{Message, OlderVisitor, Replaces, Wire},
};

/// The way from an older version up to `M`, step by step, as a type.
pub(super) trait Upward<M: Message>: 'static {
    type Old: Message;
    fn up(old: Self::Old) -> M;
    fn down(outcome: M::Outcome) -> <Self::Old as Message>::Outcome;
}

/// No step.
pub(super) struct Itself;

impl<M: Message> Upward<M> for Itself {
    type Old = M;
    fn up(message: M) -> M {
        message
    }
    fn down(outcome: M::Outcome) -> M::Outcome {
        outcome
    }
}

/// A step from `Old` to where `Rest` begins.
pub(super) struct Step<Old, Rest>(PhantomData<fn(Old) -> Rest>);

impl<M: Message, Old: Message, Rest: Upward<M>> Upward<M> for Step<Old, Rest>
where
    Rest::Old: Replaces<Old>,
{
    type Old = Old;
    fn up(old: Old) -> M {
        Rest::up(Rest::Old::upgrade(old))
    }
    fn down(outcome: M::Outcome) -> Old::Outcome {
        Rest::Old::downgrade(Rest::down(outcome))
    }
}

/// Collects a row for each older version that leads to `M`.
pub(super) struct OlderRows<'r, A: Handler<M>, M: Message, Way> {
    pub(super) method: &'static str,
    pub(super) rows: &'r mut Vec<HandlerRow<A>>,
    pub(super) way: PhantomData<fn(M) -> Way>,
}

impl<A: Handler<M>, M: Message, Way: Upward<M>> OlderVisitor<Way::Old>
    for OlderRows<'_, A, M, Way>
{
    fn visit<Old: Wire>(&mut self)
    where
        Way::Old: Replaces<Old>,
    {
        self.rows.push(HandlerRow::older::<M, Step<Old, Way>>(self.method));
        let (method, way) = (self.method, PhantomData::<fn(M) -> Step<Old, Way>>);
        Old::__older(&mut OlderRows::<A, M, Step<Old, Way>> { method, rows: self.rows, way });
    }
}

/// Decodes an older version as what it becomes.
pub(super) fn decode<M: Message, Way: Upward<M, Old: Wire>>(
    codec: Codec,
    bytes: &[u8],
) -> Result<M, CodecError> {
    codec::decode(codec, bytes).map(Way::up)
}

/// Encodes an outcome as the sender of an older version decodes it.
pub(super) fn encode_outcome<M: Message, Way: Upward<M, Old: Wire>>() -> EncodeOutcome {
    |codec, outcome, into| {
        let outcome = outcome.downcast_mut::<Option<M::Outcome>>().and_then(Option::take);
        let outcome = outcome
            .ok_or_else(|| CodecError::Encode(format!("the outcome is not that of {}", M::NAME)))?;
        codec::encode(codec, &Way::down(outcome), into)
    }
}
