use std::sync::Arc;

use super::{Terminated, Watching, ties::Tied};
use crate::{
    actor::{Ctx, HandledBy, Handlers},
    address::Addr,
    error::{Failure, FailureKind},
};

impl<A: Handlers> Ctx<A> {
    /// Tells this actor of the end of another one: it gets a [`Terminated`] once the other has ended
    /// for good, at once when it has already. A restart is not an end.
    ///
    /// The notice comes exactly once, after what the other had told it before. It waits for room in
    /// the mailbox for as long as it takes, and comes again where the mailbox drops it for newer
    /// messages. Watching the same actor twice is watching it once; a notice that was handled does
    /// not keep the actor from being watched again. What is watched outlives a restart of this
    /// actor. To watch oneself does nothing.
    ///
    /// # Errors
    /// [`FailureKind::Unsupported`] for an actor in another process.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Mind(Addr<Child>);
    ///
    /// #[derive(Actor)]
    /// struct Child;
    /// #[handlers]
    /// impl Child {}
    ///
    /// #[derive(Actor)]
    /// struct Parent;
    /// #[handlers]
    /// impl Parent {
    ///     #[handle]
    ///     fn mind(&mut self, Mind(child): Mind, ctx: &mut Ctx<Self>) {
    ///         ctx.watch(&child).expect("it is an actor of this process");
    ///     }
    ///     #[handle]
    ///     fn terminated(&mut self, terminated: Terminated, ctx: &mut Ctx<Self>) {
    ///         assert_eq!(terminated.reason, StopReason::Requested);
    ///         ctx.stop();
    ///     }
    /// }
    ///
    /// #[callboard::main]
    /// async fn main(system: System) -> callboard::Result<()> {
    ///     let (parent, child) = (system.spawn(|| Parent)?, system.spawn(|| Child)?);
    ///     parent.tell(Mind(child.clone())).await?;
    ///     child.stop()?;
    ///     assert_eq!(parent.stopped().await?, StopReason::Finished);
    ///     Ok(())
    /// }
    /// ```
    pub fn watch<B: Handlers>(&mut self, other: &Addr<B>) -> Result<(), Failure>
    where
        Terminated: HandledBy<A>,
    {
        let watched = self.tied("watch", other)?;
        if other.id() == self.id() {
            return Ok(());
        }
        if self.watching.is_none() {
            let watching = Watching::new(self.id(), <Terminated as HandledBy<A>>::__wrap);
            self.watching = Some(Box::new(watching));
            self.resume_watching();
        }
        let Some(watching) = &self.watching else { return Ok(()) };
        let notices = &watching.notices;
        if notices.expect(other.id(), Arc::downgrade(&watched))
            && watched.ties().add_watcher(self.id(), notices.clone()).is_err()
            && let Some(terminated) = watched.terminated()
        {
            notices.put(&terminated);
        }
        Ok(())
    }

    /// Ends a [`watch`](Self::watch): no notice is handled any more, also when it waits in the
    /// mailbox already. Does nothing when the actor is not watched.
    pub fn unwatch<B: Handlers>(&mut self, other: &Addr<B>) {
        let Some(watching) = &self.watching else { return };
        if let Some(shared) = other.shared() {
            shared.ties.remove_watcher(self.id());
            watching.notices.forget(shared.id());
        }
    }

    /// Ties this actor and another one together: when one of them ends for good by a failure
    /// ([`StopReason::is_failure`](crate::StopReason::is_failure)), the other is stopped with
    /// [`StopReason::Linked`](crate::StopReason::Linked). It works off what it had accepted, as at
    /// any stop; a handler that awaits does not keep it from that. A normal end is not passed on,
    /// nor is a restart, which is no end.
    ///
    /// When the other has ended by a failure already, this actor is stopped at once. To link twice
    /// is to link once, to link to oneself does nothing, and a link outlives restarts.
    ///
    /// # Errors
    /// [`FailureKind::Unsupported`] for an actor in another process.
    ///
    /// # Examples
    /// ```
    /// use callboard::prelude::*;
    ///
    /// #[derive(Message)]
    /// struct Break;
    ///
    /// #[derive(Actor)]
    /// #[actor(restart(when = "never"))]
    /// struct Engine;
    /// #[handlers]
    /// impl Engine {
    ///     #[handle]
    ///     fn fail(&mut self, _: Break) { panic!("worn out") }
    /// }
    ///
    /// #[derive(Actor)]
    /// struct Car(Addr<Engine>);
    /// #[handlers]
    /// impl Car {
    ///     #[started]
    ///     async fn started(&mut self, ctx: &mut Ctx<Self>) -> Result<(), BoxError> {
    ///         ctx.link(&self.0)?;
    ///         Ok(())
    ///     }
    /// }
    ///
    /// #[callboard::main]
    /// async fn main(system: System) -> callboard::Result<()> {
    ///     let engine = system.spawn(|| Engine)?;
    ///     let car = system.spawn({ let engine = engine.clone(); move || Car(engine.clone()) })?;
    ///     car.started().await?;
    ///     engine.tell(Break).await?;
    ///     assert!(matches!(car.stopped().await?, StopReason::Linked { .. }));
    ///     Ok(())
    /// }
    /// ```
    pub fn link<B: Handlers>(&mut self, other: &Addr<B>) -> Result<(), Failure> {
        let linked = self.tied("link", other)?;
        if other.id() == self.id() {
            return Ok(());
        }
        let me: Arc<dyn Tied> = self.shared().clone();
        // First here, so that the other's end finds it; whoever runs has not ended.
        if me.ties().add_link(other.id(), Arc::downgrade(&linked)).is_err() {
            return Ok(());
        }
        if linked.ties().add_link(self.id(), Arc::downgrade(&me)).is_err() {
            me.ties().remove_link(other.id());
            if let Some(ended) = linked.terminated().filter(|ended| ended.reason.is_failure()) {
                me.stop_with(&ended);
            }
        }
        Ok(())
    }

    /// Ends a [`link`](Self::link), in both directions. Does nothing when there is none.
    pub fn unlink<B: Handlers>(&mut self, other: &Addr<B>) {
        if let Some(shared) = other.shared() {
            self.shared().ties.remove_link(shared.id());
            shared.ties.remove_link(self.id());
        }
    }

    fn tied<B: Handlers>(&self, what: &str, other: &Addr<B>) -> Result<Arc<dyn Tied>, Failure> {
        match other.shared() {
            Some(shared) => Ok(shared.clone() as Arc<dyn Tied>),
            None => Err(FailureKind::Unsupported {
                option: format!("`{what}`"),
                target: format!("{}, which lives in another process", other.name()),
            }
            .into()),
        }
    }

    /// Has a future carry the notices of what is watched; the one before ended with its incarnation.
    pub(in crate::actor) fn resume_watching(&mut self) {
        if let Some(watching) = &self.watching {
            let carry = watching.carry(self.shared().clone());
            self.spawn(carry);
        }
    }
}
