use tokio::time::Instant;

use crate::{
    directory::{InstanceName, InstanceRecord},
    error::{Delivery, Failure, FailureKind},
};

/// The way of one ask from instance to instance. It goes on only while it is certain that no handler
/// saw the message.
#[derive(Debug, Default)]
pub(super) struct Course {
    /// Who was asked.
    pub(super) asked: Vec<InstanceName>,
    /// What the last of them said.
    pub(super) last: Option<Failure>,
    has_moved: bool,
    has_missed: bool,
}

impl Course {
    /// Whether the ask may go on to another instance after this failure; else the failure is the end
    /// of it.
    pub(super) fn follow(
        &mut self,
        record: &InstanceRecord,
        failure: Failure,
        deadline: Instant,
    ) -> Result<(), Failure> {
        if failure.delivery() != Delivery::NotDelivered || deadline <= Instant::now() {
            return Err(failure);
        }
        let goes_on = match failure.kind() {
            FailureKind::Stopped { .. } | FailureKind::NoSuchService { .. } => true,
            // Whoever said it had left before, so the cache knows the others by now: once is enough,
            // and instances that all leave can't send an ask round and round.
            FailureKind::Moved { .. } => !std::mem::replace(&mut self.has_moved, true),
            // The inbox is gone; or the log is, and then another attempt makes nothing better.
            FailureKind::Unavailable { .. } => !std::mem::replace(&mut self.has_missed, true),
            _ => false,
        };
        if !goes_on {
            return Err(failure);
        }
        self.asked.push(record.instance);
        self.last = Some(failure);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::{ActorId, Incarnation, Name};

    fn record(number: u64) -> InstanceRecord {
        let instance = InstanceName::new(Incarnation::from_u128(1), number);
        let name = |name| Name::new(name).expect("a name");
        InstanceRecord::new(name("s"), instance, name("n"), ActorId::from_u64(number))
    }

    fn not_delivered(kind: FailureKind) -> Failure {
        Failure::with_delivery(kind, Delivery::NotDelivered)
    }

    fn moved() -> Failure {
        not_delivered(FailureKind::Moved { actor: "a".into() })
    }

    fn stopped() -> Failure {
        not_delivered(FailureKind::Stopped { actor: "a".into() })
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(9)
    }

    #[test]
    fn moved_is_followed_once_and_stopped_as_often_as_there_are_instances() {
        let mut course = Course::default();
        for number in 0..5 {
            course.follow(&record(number), stopped(), later()).expect("it goes on");
        }
        course.follow(&record(5), moved(), later()).expect("once");
        course.follow(&record(6), stopped(), later()).expect("it goes on");
        let end = course.follow(&record(7), moved(), later()).expect_err("not twice");
        assert!(matches!(end.kind(), FailureKind::Moved { .. }));
        assert_eq!(course.asked.len(), 7);
    }

    #[test]
    fn an_ask_that_may_have_been_handled_or_is_late_goes_nowhere() {
        let mut course = Course::default();
        let unknown = Failure::new(FailureKind::Unavailable { what: "a".into() });
        course.follow(&record(1), unknown, later()).expect_err("it is unknown");
        course.follow(&record(1), stopped(), Instant::now()).expect_err("it is late");
        let full = FailureKind::MailboxFull { actor: "a".into(), retry_after: None };
        course.follow(&record(1), full.into(), later()).expect_err("it lives");
        let gone = || not_delivered(FailureKind::Unavailable { what: "a".into() });
        course.follow(&record(1), gone(), later()).expect("once");
        course.follow(&record(2), gone(), later()).expect_err("not twice");
    }
}
