//! The actors, as a user of callboard writes them.

use std::sync::Arc;

use callboard::prelude::*;

use crate::{
    peer::{Arrivals, Job, Token, Yielding},
    span::Sample,
};

#[derive(Message)]
#[message(reply = u64)]
pub struct Add(pub u64);

#[derive(Message)]
pub struct AddYielding(pub u64, pub Yielding);

macro_rules! counter {
    ($(#[$settings:meta])* $name:ident) => {
        /// Adds up what it is sent.
        #[derive(Actor, Debug, Default)]
        $(#[$settings])*
        pub struct $name {
            total: u64,
        }

        #[handlers]
        impl $name {
            #[handle]
            fn add(&mut self, Add(n): Add) -> u64 {
                self.total += n;
                self.total
            }

            #[handle]
            async fn add_yielding(&mut self, AddYielding(n, how): AddYielding) {
                how.once().await;
                self.total += n;
            }
        }
    };
}

counter!(
    #[actor(mailbox(capacity = 1024))]
    Counter
);
// As many as a mailbox may hold.
counter!(
    #[actor(mailbox(capacity = 1048576, bytes = "256MiB"))]
    CounterWide
);

#[derive(Message)]
#[message(reply = Sample)]
pub struct RunHere(pub Job);

#[derive(Message)]
#[message(reply = Sample)]
pub struct RunInTask(pub Job);

#[derive(Actor, Debug)]
pub struct Driver;

#[handlers]
impl Driver {
    #[handle]
    async fn run_here(&mut self, RunHere(job): RunHere) -> Sample {
        job.await
    }

    #[handle]
    async fn run_in_task(&mut self, RunInTask(job): RunInTask) -> Sample {
        tokio::task::spawn_local(job).await.expect("the job comes to its end")
    }
}

#[derive(Message)]
pub struct Pass(pub Token);

#[derive(Message)]
pub struct Link(pub Addr<Member>);

/// An actor of a ring.
#[derive(Actor, Debug, Default)]
pub struct Member {
    next: Option<Addr<Self>>,
}

#[handlers]
impl Member {
    #[handle]
    fn pass(&mut self, Pass(token): Pass) {
        match token.left.checked_sub(1) {
            Some(left) => {
                let next = self.next.as_ref().expect("the ring is closed");
                next.try_tell(Pass(Token { left, ..token })).expect("the ring lives");
            }
            None => token.done.send(()).expect("somebody waits for the token"),
        }
    }

    #[handle]
    fn link(&mut self, Link(next): Link) {
        self.next = Some(next);
    }
}

#[derive(Actor)]
pub struct Idle(pub Arc<Arrivals>);

#[handlers]
impl Idle {
    #[started]
    fn arrive(&mut self) -> Result<(), BoxError> {
        self.0.one();
        Ok(())
    }

    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        n
    }
}
