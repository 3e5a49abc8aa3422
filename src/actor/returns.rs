//! What methods may return, asked by generated code in words that name the method's message.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{
    error::BoxError,
    message::{Message, Older},
};

/// That a handler of `M` returns its outcome `O`.
#[diagnostic::on_unimplemented(
    message = "the handler of `{M}` returns `{Self}`, which is not its reply",
    label = "`{M}` is answered with `{O}`",
    note = "return `{O}`, or change `#[message(reply = ..)]` of `{M}`; with `error = E` a handler returns `Result<reply, E>`"
)]
pub trait OutcomeOf<M, O> {
    /// The same value under its other name.
    fn into_outcome(self) -> O;
}

impl<M, O> OutcomeOf<M, O> for O {
    #[inline(always)]
    fn into_outcome(self) -> O {
        self
    }
}

/// What a plain handler returned, as the outcome of its message.
#[inline(always)]
pub fn returned<M: Message, R: OutcomeOf<M, M::Outcome>>(value: R) -> M::Outcome {
    value.into_outcome()
}

pin_project_lite::pin_project! {
    /// The future of an async handler, as the future of its message's outcome. Unlike an async block
    /// it holds the handler's message once.
    struct Returned<F, C> {
        #[pin]
        future: F,
        convert: C,
    }
}

impl<F: Future, O, C: Fn(F::Output) -> O> Future for Returned<F, C> {
    type Output = O;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let this = self.project();
        Poll::Ready((this.convert)(ready!(this.future.poll(cx))))
    }
}

/// What an async handler will return, as the outcome of its message; `convert` is [`returned`],
/// called in a closure so that a wrong type is a mistake there and nowhere else.
#[inline(always)]
pub fn returned_future<M: Message, F: Future>(
    future: F,
    convert: impl Fn(F::Output) -> M::Outcome,
) -> impl Future<Output = M::Outcome> {
    Returned { future, convert }
}

/// What a `#[started]` hook may return.
#[diagnostic::on_unimplemented(
    message = "a `#[started]` hook can't return `{Self}`",
    label = "not `()` and not a `Result<(), E>`",
    note = "return nothing, or `Result<(), E>` where `E` is an error, as in `Result<(), BoxError>`"
)]
pub trait Started {
    /// As a result with any error.
    fn into_started(self) -> Result<(), BoxError>;
}

impl Started for () {
    #[inline]
    fn into_started(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> Started for Result<(), E> {
    #[inline]
    fn into_started(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

/// What a `#[started]` hook returned.
///
/// # Errors
/// The hook's own.
#[inline]
pub fn started<S: Started>(value: S) -> Result<(), BoxError> {
    value.into_started()
}

/// That the reply of `M` is that of an event.
#[diagnostic::on_unimplemented(
    message = "`{M}` is not an event: its reply is `{Self}`",
    label = "nobody waits for the reply of an event",
    note = "an event is a message without `#[message(reply = ..)]`"
)]
pub trait EventReply<M> {}

impl<M> EventReply<M> for () {}

/// The wire name of an event.
pub const fn event_name<M: Message<Reply: EventReply<M>>>() -> &'static str {
    M::NAME
}

/// Refuses a block in which two methods take the same version of a message on the wire. Rows are
/// method, name, version, and the older versions that it takes too; `method` is the row to look at.
///
/// # Panics
/// When an earlier row takes the same name and version, at compile time.
#[track_caller]
pub const fn assert_wire_name_is_free(rows: &[(&str, &str, u32, &Older)], method: &str) {
    let mut own = 0;
    while own < rows.len() && !equal(rows[own].0, method) {
        own += 1;
    }
    let mut other = 0;
    while other < own && own < rows.len() {
        if equal(rows[other].1, rows[own].1) && rows[other].2 == rows[own].2 {
            panic!(
                "two messages of this actor have the same name and version on the wire; give one of \
                 them another with `#[message(name = \"..\")]` or `#[message(version = ..)]`"
            );
        }
        if equal(rows[other].1, rows[own].1)
            && (takes_one_of(rows[other], rows[own]) || takes_one_of(rows[own], rows[other]))
        {
            panic!(
                "two methods of this actor take the same version of a message on the wire, one of \
                 them through `#[message(from = ..)]`; leave out that method or the `from`"
            );
        }
        other += 1;
    }
}

/// Whether the first takes a version of the second.
const fn takes_one_of(
    (_, _, version, older): (&str, &str, u32, &Older),
    (_, _, other, mut others): (&str, &str, u32, &Older),
) -> bool {
    if older.has(other) {
        return true;
    }
    while let Older::Version { version: one, then } = others {
        if *one == version || older.has(*one) {
            return true;
        }
        others = then;
    }
    false
}

const fn equal(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    let mut at = 0;
    while at < left.len() && at < right.len() && left[at] == right[at] {
        at += 1;
    }
    at == left.len() && at == right.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &[(&str, &str, u32, &Older)] = &[
        ("add", "Add", 1, &Older::None),
        ("put", "Add", 2, &Older::None),
        ("get", "Get", 2, &Older::Version { version: 1, then: &Older::None }),
        ("take", "Add", 1, &Older::None),
        ("add_3", "Add", 3, &Older::Version { version: 2, then: &Older::None }),
        ("get_1", "Get", 1, &Older::None),
    ];

    #[test]
    fn names_that_differ_in_the_version_are_free() {
        for method in ["add", "put", "get"] {
            assert_wire_name_is_free(ROWS, method);
        }
    }

    #[test]
    #[should_panic(expected = "through `#[message(from = ..)]`")]
    fn a_version_that_another_method_takes_is_refused() {
        assert_wire_name_is_free(ROWS, "add_3");
    }

    #[test]
    #[should_panic(expected = "through `#[message(from = ..)]`")]
    fn a_version_that_was_taken_before_is_refused() {
        assert_wire_name_is_free(ROWS, "get_1");
    }

    #[test]
    #[should_panic(expected = "same name and version")]
    fn a_name_that_is_taken_is_refused() {
        assert_wire_name_is_free(ROWS, "take");
    }
}
