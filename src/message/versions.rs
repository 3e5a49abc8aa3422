use std::convert::Infallible;

use super::{Message, Wire};

/// The versions that a message takes beside its own, the nearest first.
#[derive(Debug, Clone, Copy)]
pub enum Older {
    /// No more.
    None,
    /// One, and those that it takes itself.
    Version {
        /// Its version.
        version: u32,
        /// The others.
        then: &'static Self,
    },
}

impl Older {
    /// Whether this version is among them.
    pub const fn has(&self, wanted: u32) -> bool {
        let mut rest = self;
        loop {
            match rest {
                Self::None => return false,
                Self::Version { version, then } => {
                    if *version == wanted {
                        return true;
                    }
                    rest = then;
                }
            }
        }
    }
}

/// That a message takes the place of an older version of it: `#[message(from = Old)]`.
pub trait Replaces<Old: Message>: Message {
    /// The message that the old one becomes.
    fn upgrade(old: Old) -> Self;
    /// The outcome as whoever sent the old one decodes it.
    fn downgrade(outcome: Self::Outcome) -> Old::Outcome;
}

/// Who is shown the older version that a message takes, if there is one.
pub trait OlderVisitor<M: Message> {
    /// `Old` is the next older version.
    fn visit<Old: Wire>(&mut self)
    where
        M: Replaces<Old>;
}

/// [`From`], seen from the older version.
#[diagnostic::on_unimplemented(
    message = "`{Self}` can't become `{New}`",
    label = "the older version of `{New}`",
    note = "write `impl From<{Self}> for {New}`, which says what it means today"
)]
pub trait Becomes<New> {
    /// The newer version.
    fn becomes(self) -> New;
}

#[diagnostic::do_not_recommend]
impl<Old, New: From<Old>> Becomes<New> for Old {
    fn becomes(self) -> New {
        self.into()
    }
}

/// [`Into`] for what a handler gives back, with the messages that it is about.
#[diagnostic::on_unimplemented(
    message = "whoever sent `{Old}` can't be answered by the handler of `{New}`: its `{Self}` does \
               not become `{T}`",
    label = "`{Old}` is answered otherwise than `{New}`",
    note = "write `impl From<{Self}> for {T}`, give both versions the same reply and error, or handle \
            `{Old}` by a method of its own and leave `from` out"
)]
pub trait AnswersAs<New, Old, T> {
    /// The same for the sender of the older version.
    fn answer_as(self) -> T;
}

#[diagnostic::do_not_recommend]
impl<New, Old, T, S: Into<T>> AnswersAs<New, Old, T> for S {
    fn answer_as(self) -> T {
        self.into()
    }
}

/// An outcome as it is put together from reply and error: the reply alone where there is no error.
pub trait OutcomeOfParts<R, E> {
    /// Puts it together.
    fn of_parts(parts: Result<R, E>) -> Self;
}

impl<R> OutcomeOfParts<R, Infallible> for R {
    fn of_parts(parts: Result<R, Infallible>) -> Self {
        match parts {
            Ok(reply) => reply,
            Err(never) => match never {},
        }
    }
}

impl<R, E> OutcomeOfParts<R, E> for Result<R, E> {
    fn of_parts(parts: Self) -> Self {
        parts
    }
}

/// What the older version becomes.
pub fn upgraded<Old: Becomes<New>, New>(old: Old) -> New {
    old.becomes()
}

/// What the sender of the older version is answered.
pub fn downgraded<New, Old>(outcome: New::Outcome) -> Old::Outcome
where
    New: Message<Reply: AnswersAs<New, Old, Old::Reply>, Error: AnswersAs<New, Old, Old::Error>>,
    Old: Message<Outcome: OutcomeOfParts<Old::Reply, Old::Error>>,
{
    let parts = New::into_result(outcome);
    OutcomeOfParts::of_parts(parts.map(AnswersAs::answer_as).map_err(AnswersAs::answer_as))
}

/// Refuses a `from` that is no older version of the message.
///
/// # Panics
/// When it has another name on the wire, or its version is not lower: at compile time.
#[track_caller]
pub const fn assert_is_older<Old: Message, New: Message>() {
    let (old, new) = (Old::NAME.as_bytes(), New::NAME.as_bytes());
    let mut at = 0;
    while at < old.len() && at < new.len() && old[at] == new[at] {
        at += 1;
    }
    if at != old.len() || at != new.len() {
        panic!(
            "`from` names a message of another name on the wire; give both the same by \
             `#[message(name = \"..\")]`"
        );
    }
    if Old::VERSION >= New::VERSION {
        panic!(
            "`from` names a message whose version is not lower; raise `#[message(version = ..)]` of \
             the newer one"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_along_the_line() {
        const LINE: &Older = &Older::Version {
            version: 3,
            then: &Older::Version { version: 1, then: &Older::None },
        };
        assert_eq!([0, 1, 2, 3, 4].map(|n| LINE.has(n)), [false, true, false, true, false]);
    }
}
