use std::fmt;

use super::{Accounting, StreamInfo};

/// What does not add up in the account of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountingError {
    /// Messages: `appended` is not `handled + expired + cancelled + dead + delayed + held`.
    #[error("{}", messages(.accounting))]
    Messages {
        /// What was counted.
        accounting: Accounting,
    },
    /// Frames: `frames_in - frames_out` is not the number of entries.
    #[error("{}", frames(.accounting, *.length))]
    Frames {
        /// What was counted.
        accounting: Accounting,
        /// The entries that are there.
        length: u64,
    },
}

impl Accounting {
    /// Whether the sum holds.
    pub fn adds_up(&self) -> bool {
        u128::from(self.appended) == self.sum()
    }

    /// Checks that the sum holds.
    ///
    /// # Errors
    /// [`AccountingError::Messages`] names all parts of the sum and the difference.
    pub fn check(&self) -> Result<(), AccountingError> {
        if self.adds_up() { Ok(()) } else { Err(AccountingError::Messages { accounting: *self }) }
    }

    fn sum(&self) -> u128 {
        let Self { handled, expired, cancelled, dead, delayed, held, .. } = *self;
        [handled, expired, cancelled, dead, delayed, held].map(u128::from).iter().sum()
    }
}

impl StreamInfo {
    /// Checks the account of a stream whose messages are counted: the sum of its messages, and that as
    /// many frames came in as went out or are there.
    ///
    /// # Errors
    /// [`AccountingError`] names what does not add up, and by how much.
    pub fn check(&self) -> Result<(), AccountingError> {
        let (accounting, length) = (self.accounting, self.length);
        accounting.check()?;
        let left = accounting.frames_in.checked_sub(accounting.frames_out);
        if left == Some(length) {
            return Ok(());
        }
        Err(AccountingError::Frames { accounting, length })
    }
}

/// The parts of the sum.
impl fmt::Display for Accounting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { handled, expired, cancelled, dead, delayed, held, .. } = self;
        write!(f, "{handled} handled + {expired} expired + {cancelled} cancelled + ")?;
        write!(f, "{dead} dead + {delayed} delayed + {held} held")
    }
}

fn messages(accounting: &Accounting) -> String {
    let (appended, sum) = (u128::from(accounting.appended), accounting.sum());
    let by = difference(appended, sum);
    format!("{appended} messages were appended, but {accounting} = {sum}: {by} than the sum")
}

fn frames(accounting: &Accounting, length: u64) -> String {
    let Accounting { frames_in, frames_out, .. } = *accounting;
    let by = difference(u128::from(frames_in), u128::from(frames_out) + u128::from(length));
    format!(
        "{frames_in} frames came in, {frames_out} went out and {length} are there: {by} than those two"
    )
}

fn difference(counted: u128, sum: u128) -> String {
    if counted > sum {
        format!("{} more", counted - sum)
    } else {
        format!("{} fewer", sum - counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let good = Accounting { appended: 10, handled: 7, dead: 1, held: 2, ..Default::default() };
        assert_eq!(good.check(), Ok(()));
        let more = Accounting { appended: 12, ..good }.check().expect_err("it does not add up");
        assert_eq!(
            more.to_string(),
            "12 messages were appended, but 7 handled + 0 expired + 0 cancelled + 1 dead + 0 delayed \
             + 2 held = 10: 2 more than the sum"
        );
        let fewer = Accounting { handled: u64::MAX, ..good }.check().expect_err("nor does this");
        assert!(fewer.to_string().ends_with(" fewer than the sum"), "{fewer}");
    }

    #[test]
    fn frames_are_counted_too() {
        let accounting = Accounting { frames_in: 5, frames_out: 3, ..Default::default() };
        let info = |length| StreamInfo { length, accounting, ..Default::default() };
        assert_eq!(info(2).check(), Ok(()));
        let error = info(1).check().expect_err("one is missing");
        assert_eq!(
            error.to_string(),
            "5 frames came in, 3 went out and 1 are there: 1 more than those two"
        );
        let odd = Accounting { frames_in: 1, frames_out: 2, ..Default::default() };
        let info = StreamInfo { accounting: odd, ..Default::default() };
        assert!(info.check().is_err(), "more went out than came in");
    }
}
