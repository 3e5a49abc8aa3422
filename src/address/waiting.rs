use std::{task::Context, time::Duration};

use crate::{
    host,
    time::{Deadline, Timer},
};

/// Whether a deadline has passed, which begins with the first call; if it has not, `cx` is woken
/// when it does.
pub(super) fn has_passed(
    deadline: &mut Deadline,
    timer: &Timer,
    timeout: Duration,
    cx: &Context<'_>,
) -> bool {
    if !deadline.begin(timer, timeout) && deadline.has_passed(timer) {
        return true;
    }
    wait(deadline, timer, cx);
    false
}

/// Sees to it that `cx` is woken when a deadline passes. An actor has an alarm of its own.
pub(super) fn wait(deadline: &mut Deadline, timer: &Timer, cx: &Context<'_>) {
    let waker = cx.waker();
    let is_actor = host::current(waker, |actor| actor.core().alarm_by(deadline.at(), waker));
    if is_actor.is_none() {
        deadline.wait(timer, waker);
    }
}
