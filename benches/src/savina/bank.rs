//! Bank transaction: tellers tell accounts to move money, and each asks the other account.

use fastrand::Rng;
use tokio::sync::oneshot;

use super::{At, Done, counted, warmed_up};
use crate::{
    peer::{Account, Address, Behaviour, Flow, Peer, Spawner},
    span::Sample,
};

/// As in the suite.
const ACCOUNTS: usize = 1000;
/// What each holds at first.
const BALANCE: i64 = 1_000_000;
/// Tellers.
const TELLERS: u64 = 4;
/// Transactions that a teller has under way.
const OUTSTANDING: u64 = 16;

/// So many transactions: a tell to an account, its ask of another, and word to the teller.
pub fn run<P: Peer>(peer: &P, transactions: u64) -> Sample {
    let spawner = peer.spawner();
    let build = async move {
        let mut accounts = Vec::with_capacity(ACCOUNTS);
        for _ in 0..ACCOUNTS {
            accounts.push(spawner.account(BALANCE).await);
        }
        let mut tellers = Vec::new();
        for number in 0..TELLERS {
            let accounts = accounts.clone();
            tellers.push(spawner.spawn(move || Teller::new(number, accounts.clone())).await);
        }
        (accounts, tellers)
    };
    peer.in_task(warmed_up(transactions, build, |stage: Stage<P>, transactions| async move {
        let (accounts, tellers) = stage;
        let each = transactions / TELLERS;
        let mut shifts = Vec::new();
        for teller in tellers {
            let (done, over) = oneshot::channel();
            let me = teller.clone();
            let shift = Shift { me, transactions: each, to_send: each, finished: 0, done };
            teller.send(ToTeller::Start(Box::new(shift)));
            shifts.push(over);
        }
        for over in shifts {
            counted(over, each, "every transaction comes to its end").await;
        }
        let mut sum = 0;
        for account in accounts {
            sum += account.balance().await;
        }
        assert_eq!(sum, BALANCE * ACCOUNTS as i64, "no money is made or lost");
    }))
}

type Stage<P> =
    (Vec<<<P as Peer>::Spawner as Spawner>::Account>, Vec<At<P, Teller<<P as Peer>::Spawner>>>);

/// Starts transactions, a few at a time.
pub struct Teller<S: Spawner> {
    accounts: Vec<S::Account>,
    chance: Rng,
    shift: Option<Shift<S>>,
}

/// What a teller has to do.
pub struct Shift<S: Spawner> {
    me: S::Address<Teller<S>>,
    transactions: u64,
    to_send: u64,
    finished: u64,
    done: Done,
}

/// What a [`Teller`] is sent.
pub enum ToTeller<S: Spawner> {
    /// Begins.
    Start(Box<Shift<S>>),
    /// A transaction of this teller's has come to its end.
    Finished,
}

impl<S: Spawner> Teller<S> {
    fn new(number: u64, accounts: Vec<S::Account>) -> Self {
        Self { accounts, chance: Rng::with_seed(number), shift: None }
    }

    /// Sends one more unless all are sent. Money goes from an account to one of a higher number, so
    /// that accounts never wait for each other in a circle.
    fn transact(&mut self) {
        let shift = self.shift.as_mut().expect("a shift is on");
        let Some(left) = shift.to_send.checked_sub(1) else { return };
        shift.to_send = left;
        let from = self.chance.usize(..ACCOUNTS / 10 * 8);
        let to = self.chance.usize(from + 1..ACCOUNTS);
        let amount = self.chance.i64(1..100);
        self.accounts[from].transfer(amount, &self.accounts[to], &shift.me);
    }

    fn finished(&mut self) {
        let shift = self.shift.as_mut().expect("a shift is on");
        shift.finished += 1;
        if shift.finished < shift.transactions {
            return self.transact();
        }
        let shift = self.shift.take().expect("a shift is on");
        shift.done.send(shift.finished).expect("the workload waits");
    }
}

impl<S: Spawner> Behaviour for Teller<S> {
    type Message = ToTeller<S>;

    fn on(&mut self, message: ToTeller<S>) -> Flow {
        match message {
            ToTeller::Start(shift) => {
                self.shift = Some(*shift);
                (0..OUTSTANDING).for_each(|_| self.transact());
            }
            ToTeller::Finished => self.finished(),
        }
        Flow::Goes
    }
}
