//! The actors, as a user of callboard writes them.

use std::{convert::Infallible, sync::Arc};

use callboard::prelude::*;

use crate::{
    peer::{Address, Arrivals, Behaviour, Flow, Job, Token, Yielding},
    savina::bank::{Teller, ToTeller},
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

pub struct Deliver<B: Behaviour>(pub B::Message);

// By hand: the derive asks that `B` be `Send`, and the compiler runs in a circle to find that out
// of a behaviour whose messages carry addresses of its own kind.
impl<B: Behaviour> Message for Deliver<B> {
    type Reply = ();
    type Error = Infallible;
    type Outcome = ();
    const NAME: &'static str = "Deliver";
    const VERSION: u32 = 1;

    fn into_result((): ()) -> Result<(), Infallible> {
        Ok(())
    }
}

/// Carries a behaviour.
#[derive(Actor)]
#[actor(mailbox(capacity = 1048576, bytes = "256MiB"))]
pub struct Carrier<B: Behaviour>(pub B);

#[handlers]
impl<B: Behaviour> Carrier<B> {
    #[handle(local)]
    fn deliver(&mut self, ctx: &mut Ctx<Self>, Deliver(message): Deliver<B>) {
        if self.0.on(message) == Flow::Ends {
            ctx.stop();
        }
    }
}

pub type TellerAddr = Addr<Carrier<Teller<System>>>;

#[derive(Message)]
pub struct Transfer {
    pub amount: i64,
    pub to: Addr<Balance>,
    pub teller: TellerAddr,
}

#[derive(Message)]
pub struct Deposit(pub i64);

#[derive(Message)]
#[message(reply = i64)]
pub struct GetBalance;

/// An account of the bank.
#[derive(Actor)]
#[actor(mailbox(capacity = 1048576, bytes = "256MiB"))]
pub struct Balance(pub i64);

#[handlers]
impl Balance {
    #[handle]
    async fn transfer(&mut self, Transfer { amount, to, teller }: Transfer) {
        self.0 -= amount;
        to.ask(Deposit(amount)).await.expect("an answer");
        teller.send(ToTeller::Finished);
    }

    #[handle]
    fn deposit(&mut self, Deposit(amount): Deposit) {
        self.0 += amount;
    }

    #[handle]
    fn get_balance(&mut self, _: GetBalance) -> i64 {
        self.0
    }
}
