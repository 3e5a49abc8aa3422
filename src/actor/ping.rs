use std::{future::Future, pin::Pin};

use super::{BoxedEnvelope, Ctx, Handlers, Shared};

/// Asks an actor for a sign of life, through its mailbox as any message.
struct Ping(oneshot::Sender<()>);

impl<A: Handlers> BoxedEnvelope<A> for Ping {
    fn handle<'a>(
        self: Box<Self>,
        _: &'a mut A,
        _: &'a mut Ctx<A>,
    ) -> Pin<Box<dyn Future<Output = ()> + 'a>> {
        Box::pin(async move {
            // Who has given up needs no answer.
            self.0.send(()).ok();
        })
    }
}

/// Puts a ping into the mailbox of an actor; resolves when it was its turn, with an error when the
/// actor has ended. None when there is no room for it.
pub(crate) fn ping<A: Handlers>(shared: &Shared<A::Inbox>) -> Option<oneshot::AsyncReceiver<()>> {
    let (sender, receiver) = oneshot::async_channel();
    let make = || A::__boxed(Box::new(Ping(sender)));
    let pushed = shared.mailbox.push_now(0, || shared.now(), make).ok()?;
    shared.after_push(pushed);
    Some(receiver)
}
