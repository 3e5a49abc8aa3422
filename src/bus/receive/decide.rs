//! What the end of a handling means for a tell. Pure.

use crate::{
    error::{Failure, FailureKind},
    message::Conclusion,
};

/// What happens to a tell (or an event) next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Handled,
    Expired,
    Cancelled,
    /// Again, later; `counted` when this was an attempt.
    Again {
        counted: bool,
    },
    Bury {
        reason: String,
    },
}

/// `may_go_elsewhere`: another process could take it, because it is for a service.
pub(super) fn after_tell(
    conclusion: &Conclusion,
    attempt: u32,
    attempts_max: u32,
    may_go_elsewhere: bool,
) -> Next {
    let reason = match conclusion {
        Conclusion::Handled { failure: false, .. } => return Next::Handled,
        Conclusion::Cancelled => return Next::Cancelled,
        Conclusion::NotTaken(failure) => return after_refusal(failure, may_go_elsewhere),
        Conclusion::Handled { failure: true, .. } => "its handler failed",
        Conclusion::Panicked => "its handler panicked",
        // Nobody can say how far the handler came, so it counts as an attempt: a message that hangs
        // its handler until that is dropped is as poisonous as one that panics.
        Conclusion::Abandoned => "its handler was dropped before it ended",
    };
    if attempt >= attempts_max {
        return Next::Bury { reason: format!("{reason}, attempt {attempt} of {attempts_max}") };
    }
    Next::Again { counted: true }
}

fn after_refusal(failure: &Failure, may_go_elsewhere: bool) -> Next {
    let for_ever = match failure.kind() {
        FailureKind::DeadlinePassed { .. } => return Next::Expired,
        FailureKind::Undecodable { .. }
        | FailureKind::NotHandled { .. }
        | FailureKind::VersionUnknown { .. }
        | FailureKind::NotPermitted { .. }
        | FailureKind::TooLarge { .. }
        | FailureKind::Unsupported { .. } => true,
        // The one actor that it was for will not come back.
        FailureKind::Stopped { .. }
        | FailureKind::Moved { .. }
        | FailureKind::NoSuchService { .. } => !may_go_elsewhere,
        _ => false,
    };
    if for_ever {
        Next::Bury { reason: failure.to_string() }
    } else {
        Next::Again { counted: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_taken(kind: FailureKind) -> Conclusion {
        Conclusion::NotTaken(kind.into())
    }

    #[test]
    fn a_failing_tell_is_tried_again_and_then_buried() {
        for conclusion in [
            Conclusion::Handled { reply: None, failure: true },
            Conclusion::Panicked,
            Conclusion::Abandoned,
        ] {
            assert_eq!(after_tell(&conclusion, 1, 5, true), Next::Again { counted: true });
            assert_eq!(after_tell(&conclusion, 4, 5, true), Next::Again { counted: true });
            assert!(matches!(after_tell(&conclusion, 5, 5, true), Next::Bury { .. }));
        }
        let handled = Conclusion::Handled { reply: None, failure: false };
        assert_eq!(after_tell(&handled, 9, 5, true), Next::Handled);
    }

    #[test]
    fn a_tell_that_nobody_took_is_never_lost_nor_counted() {
        let full = not_taken(FailureKind::MailboxFull { actor: "a".into(), retry_after: None });
        assert_eq!(after_tell(&full, 5, 5, false), Next::Again { counted: false });
        let stopped = || not_taken(FailureKind::Stopped { actor: "a".into() });
        assert_eq!(after_tell(&stopped(), 1, 5, true), Next::Again { counted: false });
        assert!(matches!(after_tell(&stopped(), 1, 5, false), Next::Bury { .. }));
        let late = not_taken(FailureKind::DeadlinePassed { after: Default::default() });
        assert_eq!(after_tell(&late, 1, 5, true), Next::Expired);
        let undecodable = FailureKind::Undecodable {
            message: "Add".into(),
            version: 1,
            reason: "too short".into(),
        };
        assert!(matches!(after_tell(&not_taken(undecodable), 1, 5, true), Next::Bury { .. }));
    }
}
