use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use super::{HostShared, Slot, direct::DIRECT_POLLS, local::Local, remote::Mail, spin::Spin};

/// Polls of tenants in one poll of the host; then the other tasks of the arbiter have their turn.
const POLLS_PER_TURN: usize = 128;
/// The same in nanoseconds.
const TURN: u64 = 4_000_000;

/// The task that an arbiter runs. It ends when its host is closed.
pub(crate) struct HostTask {
    shared: Arc<HostShared>,
    /// Made at the first poll: that is on the host's thread.
    local: Option<Rc<Local>>,
    mail: Mail,
    spin: Spin,
}

/// What comes after the polls of a turn.
enum Next {
    /// Nobody is due.
    Wait,
    /// Another turn.
    Turn,
    /// The host is closed.
    Close,
}

impl HostTask {
    pub(crate) fn new(shared: Arc<HostShared>) -> Self {
        let spin = Spin::new(shared.options.spin);
        Self { shared, local: None, mail: Mail::default(), spin }
    }

    fn turn(&mut self, local: &Local, cx: &mut Context<'_>) -> Poll<()> {
        let clock = local.shared.timer().clock();
        clock.look();
        local.charged_to.set(clock.watch());
        local.shared_to.set(0);
        // One net for the whole turn: a panic ends it.
        let turn = catch_unwind(AssertUnwindSafe(|| self.polls(local)));
        let next = turn.unwrap_or_else(|panic| {
            let Some(slot) = local.last.get() else { resume_unwind(panic) };
            local.after_panic(slot, panic);
            local.charge_poll(slot);
            Next::Turn
        });
        match next {
            Next::Wait => {
                local.is_due.set(false);
                Poll::Pending
            }
            Next::Turn => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Next::Close => Poll::Ready(()),
        }
    }

    /// Polls whoever is due, for one turn at most.
    fn polls(&mut self, local: &Local) -> Next {
        let start = local.charged_to.get();
        let mut polls = 0;
        loop {
            let slot = match self.next(local) {
                Ok(slot) => slot,
                Err(next) => return next,
            };
            local.last.set(Some(slot));
            local.direct_left.set(DIRECT_POLLS);
            local.poll_tenant(slot);
            let now = local.charge_poll(slot);
            polls += 1;
            if polls >= POLLS_PER_TURN || now.saturating_sub(start) >= TURN {
                return Next::Turn;
            }
        }
    }

    /// Who is next; parks when there is nobody.
    #[inline]
    fn next(&mut self, local: &Local) -> Result<Slot, Next> {
        loop {
            if self.shared.letters.has_mail() && self.read_mail(local) {
                return Err(Next::Close);
            }
            let mut queue = local.queue.borrow_mut();
            if let Some(slot) = queue.pop() {
                if queue.has_groups() && local.shared_to.get() == 0 {
                    local.shared_to.set(self.shared.timer().clock().now());
                }
                return Ok(slot);
            }
            drop(queue);
            let shared = &self.shared;
            if !self.spin.find(shared.timer().clock(), || shared.letters.has_mail())
                && shared.letters.park()
            {
                return Err(Next::Wait);
            }
        }
    }

    /// Queues what has come from elsewhere. True when the host is closed.
    fn read_mail(&mut self, local: &Local) -> bool {
        local.last.set(None);
        let mut mail = std::mem::take(&mut self.mail);
        self.shared.fetch(&mut mail);
        for arrival in mail.arrivals.drain(..) {
            if !local.admit(arrival) {
                self.shared.left(None);
            }
        }
        let mut queue = local.queue.borrow_mut();
        mail.wakes.drain(..).for_each(|slot| queue.push(slot));
        drop(queue);
        if std::mem::take(&mut mail.leaving) {
            local.ask_all_to_leave();
        }
        let closed = mail.closed;
        self.mail = mail;
        closed
    }
}

impl Drop for HostTask {
    /// A host whose arbiter ended before it could be polled once more ends in order all the same:
    /// those who live there are dropped one by one, those on their way too.
    fn drop(&mut self) {
        self.shared.close();
        let mut mail = Mail::default();
        self.shared.fetch(&mut mail);
        for arrival in mail.arrivals {
            if catch_unwind(AssertUnwindSafe(|| drop(arrival))).is_err() {
                tracing::error!("an actor panicked while it was dropped");
            }
            self.shared.left(None);
        }
        if let Some(local) = self.local.take() {
            local.evict_all();
            local.exit();
            // Who was brought while the last ones were dropped.
            local.evict_all();
        }
    }
}

impl Future for HostTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let local = this.local.take().unwrap_or_else(|| Local::enter(this.shared.clone()));
        local.is_due.set(true);
        if !local.task.borrow().will_wake(cx.waker()) {
            this.shared.letters.set_task(cx.waker());
            let before = local.task.replace(cx.waker().clone());
            drop(before);
        }
        let by_mail = this.shared.letters.has_mail();
        this.shared.letters.unpark();
        this.spin.woken(by_mail, this.shared.timer().clock());
        let polled = this.turn(&local, cx);
        if polled.is_ready() {
            local.evict_all();
        }
        // For whoever asks from another task of this arbiter.
        local.direct_left.set(DIRECT_POLLS);
        this.local = Some(local);
        polled
    }
}
