//! What the answer to an append means for its lane. Pure.

use crate::{
    error::{Delivery, Failure, FailureKind},
    log::{Append, LogError, StreamName},
};

/// What is known of a frame when its answer comes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// An earlier attempt had an unknown outcome: it may be stored.
    pub(super) uncertain: bool,
    /// An earlier frame of the lane had no answer when this attempt left.
    pub(super) behind: bool,
    /// The last sequence of the lane that was acknowledged when the answer is judged.
    pub(super) acknowledged: u64,
}

#[derive(Debug)]
pub(super) enum Verdict {
    /// The log has it.
    Stored { duplicate: bool },
    /// Nobody knows: the same bytes again, later.
    Unknown(Option<LogError>),
    /// It overtook the frame before it: the same bytes again, now.
    Overtook,
    /// The log does not know the lane as we do: go on under a new number.
    Renew { lost: u64 },
    /// The log does not take it.
    Refused(Failure),
}

pub(super) fn judge(sent: Sent, answer: Result<Append, LogError>, stream: &StreamName) -> Verdict {
    match answer {
        Ok(Append::Stored(_)) => Verdict::Stored { duplicate: false },
        Ok(Append::Duplicate { .. }) => Verdict::Stored { duplicate: true },
        Ok(Append::Gap { .. }) if sent.behind => Verdict::Overtook,
        Ok(Append::Gap { last }) => Verdict::Renew { lost: sent.acknowledged.saturating_sub(last) },
        // We were taken for gone. What was sent before that may have been stored, and handled: under
        // a new number it would come twice.
        Ok(Append::Forgotten) if sent.uncertain => {
            refused(sent, format!("{stream}, where this process was taken for gone,"), None)
        }
        Ok(Append::Forgotten) => Verdict::Renew { lost: 0 },
        // Its sender may have been stored before the stream went away.
        Ok(Append::Gone) => refused(sent, format!("{stream}, whose process is gone,"), None),
        // A log that is full may say so before it looks at the sequence: no answer to the question
        // whether an earlier attempt was stored.
        Ok(Append::Full) | Err(LogError::OutOfMemory) if sent.uncertain => Verdict::Unknown(None),
        Ok(Append::Full) => refused(sent, format!("{stream}, whose backlog is full,"), None),
        Err(LogError::Unavailable { what, source }) => {
            Verdict::Unknown(Some(LogError::Unavailable { what, source }))
        }
        Err(error) => refused(sent, stream.to_string(), Some(error)),
    }
}

fn refused(sent: Sent, what: String, cause: Option<LogError>) -> Verdict {
    let delivery = if sent.uncertain { Delivery::Unknown } else { Delivery::NotDelivered };
    let failure = Failure::with_delivery(FailureKind::Unavailable { what }, delivery);
    Verdict::Refused(match cause {
        Some(cause) => failure.caused_by(cause),
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{EntryId, StreamKind};

    fn verdict(sent: Sent, answer: Result<Append, LogError>) -> Verdict {
        judge(sent, answer, &StreamName::new(StreamKind::Service, "cb:a:{s:b:0}"))
    }

    const CERTAIN: Sent = Sent { uncertain: false, behind: false, acknowledged: 9 };
    const UNCERTAIN: Sent = Sent { uncertain: true, ..CERTAIN };

    fn unavailable() -> LogError {
        LogError::Unavailable { what: "append".into(), source: None }
    }

    #[test]
    fn a_duplicate_counts_as_stored() {
        let stored = Append::Stored(EntryId::MIN);
        assert!(matches!(verdict(CERTAIN, Ok(stored)), Verdict::Stored { duplicate: false }));
        let duplicate = Append::Duplicate { last: 10 };
        assert!(matches!(verdict(UNCERTAIN, Ok(duplicate)), Verdict::Stored { duplicate: true }));
    }

    #[test]
    fn a_gap_below_what_was_acknowledged_is_loss() {
        let gap = |last| Ok(Append::Gap { last });
        assert!(matches!(verdict(CERTAIN, gap(4)), Verdict::Renew { lost: 5 }));
        assert!(matches!(verdict(CERTAIN, gap(12)), Verdict::Renew { lost: 0 }));
    }

    #[test]
    fn a_gap_of_a_frame_that_was_sent_behind_another_says_nothing() {
        let sent = Sent { behind: true, ..CERTAIN };
        assert!(matches!(verdict(sent, Ok(Append::Gap { last: 4 })), Verdict::Overtook));
    }

    #[test]
    fn a_lane_that_was_forgotten_lost_nothing() {
        let forgotten = || Ok(Append::Forgotten);
        assert!(matches!(verdict(CERTAIN, forgotten()), Verdict::Renew { lost: 0 }));
        let Verdict::Refused(failure) = verdict(UNCERTAIN, forgotten()) else { panic!("twice") };
        assert_eq!(failure.delivery(), Delivery::Unknown);
    }

    #[test]
    fn a_refusal_is_final_only_when_no_attempt_may_have_been_stored() {
        for answer in [|| Ok(Append::Full), || Err(LogError::OutOfMemory)] {
            let Verdict::Refused(failure) = verdict(CERTAIN, answer()) else { panic!("refused") };
            assert_eq!(failure.delivery(), Delivery::NotDelivered);
            assert!(matches!(verdict(UNCERTAIN, answer()), Verdict::Unknown(_)));
        }
        let Verdict::Refused(failure) = verdict(UNCERTAIN, Ok(Append::Gone)) else {
            panic!("gone is final")
        };
        assert_eq!(failure.delivery(), Delivery::Unknown);
        assert!(matches!(verdict(CERTAIN, Err(unavailable())), Verdict::Unknown(Some(_))));
    }
}
