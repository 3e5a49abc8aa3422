//! An actor as people write it by hand: a task that reads an mpsc channel.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::thread::RuntimeThread;
use crate::{
    peer::{
        Account, Address, Arrivals, Behaviour, CAPACITY, Counter, Flow, Job, Mailbox, Peer, Ring,
        Spawner, Token, Yielding,
    },
    savina::bank::ToTeller,
    span::{Sample, Span},
};

enum Message {
    Add(u64),
    AddYielding(u64, Yielding),
    Ask(u64, oneshot::Sender<u64>),
}

struct State {
    total: u64,
}

impl State {
    async fn handle(&mut self, message: Message) {
        match message {
            Message::Add(n) => self.total += n,
            Message::AddYielding(n, how) => {
                how.once().await;
                self.total += n;
            }
            Message::Ask(n, reply) => {
                self.total += n;
                reply.send(self.total).expect("the asker waits");
            }
        }
    }
}

/// Sends to a hand-written actor.
#[derive(Debug, Clone)]
pub enum Sender {
    /// Into a channel without bounds.
    Wide(mpsc::UnboundedSender<Content>),
    /// Into a channel with a capacity.
    Bounded(mpsc::Sender<Content>),
}

/// What the channel carries.
pub struct Content(Message);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").finish_non_exhaustive()
    }
}

impl Sender {
    #[inline]
    async fn send(&self, message: Message) {
        let message = Content(message);
        match self {
            Self::Wide(sender) => sender.send(message).expect("the actor lives"),
            Self::Bounded(sender) => sender.send(message).await.expect("the actor lives"),
        }
    }
}

impl Counter for Sender {
    #[inline]
    async fn tell(&self) {
        self.send(Message::Add(1)).await;
    }

    #[inline]
    fn try_tell(&self) {
        match self {
            Self::Wide(sender) => sender.send(Content(Message::Add(1))).expect("the actor lives"),
            Self::Bounded(sender) => sender.try_send(Content(Message::Add(1))).expect("room"),
        }
    }

    #[inline]
    async fn ask(&self) -> u64 {
        let (reply, total) = oneshot::channel();
        self.send(Message::Ask(1, reply)).await;
        total.await.expect("the actor answers")
    }

    #[inline]
    async fn tell_yielding(&self, how: Yielding) {
        self.send(Message::AddYielding(1, how)).await;
    }
}

impl Ring for mpsc::UnboundedSender<Token> {
    fn start(&self, token: Token) {
        self.send(token).expect("the ring lives");
    }
}

async fn member(mut tokens: mpsc::UnboundedReceiver<Token>, next: mpsc::UnboundedSender<Token>) {
    while let Some(token) = tokens.recv().await {
        match token.left.checked_sub(1) {
            Some(left) => next.send(Token { left, ..token }).expect("the ring lives"),
            None => token.done.send(()).expect("somebody waits for the token"),
        }
    }
}

async fn idle(arrivals: Arc<Arrivals>, mut messages: mpsc::Receiver<u64>) {
    arrivals.one();
    let mut total = 0;
    while let Some(n) = messages.recv().await {
        total += n;
    }
    std::hint::black_box(total);
}

impl<M: Send + 'static> Address<M> for mpsc::UnboundedSender<M> {
    fn send(&self, message: M) {
        assert!(Self::send(self, message).is_ok(), "the actor lives");
    }
}

async fn behave<B: Behaviour>(mut behaviour: B, mut messages: mpsc::UnboundedReceiver<B::Message>) {
    while let Some(message) = messages.recv().await {
        if behaviour.on(message) == Flow::Ends {
            break;
        }
    }
}

type TellerSender = mpsc::UnboundedSender<ToTeller<Tasks>>;

/// What an account is sent.
enum ToAccount {
    Transfer { amount: i64, to: AccountSender, teller: TellerSender },
    Deposit(i64, oneshot::Sender<()>),
    Balance(oneshot::Sender<i64>),
}

/// Sends to an account.
#[derive(Clone)]
pub struct AccountSender(mpsc::UnboundedSender<ToAccount>);

impl AccountSender {
    fn send(&self, message: ToAccount) {
        assert!(self.0.send(message).is_ok(), "the account lives");
    }
}

impl Account<Tasks> for AccountSender {
    fn transfer(&self, amount: i64, to: &Self, teller: &TellerSender) {
        self.send(ToAccount::Transfer { amount, to: to.clone(), teller: teller.clone() });
    }

    async fn balance(&self) -> i64 {
        let (reply, balance) = oneshot::channel();
        self.send(ToAccount::Balance(reply));
        balance.await.expect("the account answers")
    }
}

async fn account(mut balance: i64, mut messages: mpsc::UnboundedReceiver<ToAccount>) {
    while let Some(message) = messages.recv().await {
        match message {
            ToAccount::Transfer { amount, to, teller } => {
                balance -= amount;
                let (reply, added) = oneshot::channel();
                to.send(ToAccount::Deposit(amount, reply));
                added.await.expect("the account answers");
                Address::send(&teller, ToTeller::Finished);
            }
            ToAccount::Deposit(amount, reply) => {
                balance += amount;
                reply.send(()).expect("the asker waits");
            }
            ToAccount::Balance(reply) => reply.send(balance).expect("the asker waits"),
        }
    }
}

/// Spawns tasks that read channels.
#[derive(Debug, Clone, Copy)]
pub struct Tasks;

impl Spawner for Tasks {
    type Address<B: Behaviour> = mpsc::UnboundedSender<B::Message>;
    type Account = AccountSender;

    async fn spawn<B: Behaviour>(
        &self,
        make: impl Fn() -> B + Send + Sync + 'static,
    ) -> Self::Address<B> {
        let (sender, messages) = mpsc::unbounded_channel();
        tokio::spawn(behave(make(), messages));
        sender
    }

    async fn account(&self, balance: i64) -> AccountSender {
        let (sender, messages) = mpsc::unbounded_channel();
        tokio::spawn(account(balance, messages));
        AccountSender(sender)
    }
}

/// Tokio's own means.
#[derive(Debug)]
pub struct Tokio(RuntimeThread);

impl Peer for Tokio {
    const NAME: &'static str = "tokio";
    const HAS_BOUNDED: bool = true;
    type Counter = Sender;
    type Ring = mpsc::UnboundedSender<Token>;
    type Spawner = Tasks;

    fn start() -> Self {
        Self(RuntimeThread::start())
    }

    fn counter(&self, mailbox: Mailbox) -> Sender {
        let mut state = State { total: 0 };
        match mailbox {
            Mailbox::Wide => {
                let (sender, mut messages) = mpsc::unbounded_channel();
                self.0.handle.spawn(async move {
                    while let Some(Content(message)) = messages.recv().await {
                        state.handle(message).await;
                    }
                });
                Sender::Wide(sender)
            }
            Mailbox::Bounded => {
                let (sender, mut messages) = mpsc::channel(CAPACITY);
                self.0.handle.spawn(async move {
                    while let Some(Content(message)) = messages.recv().await {
                        state.handle(message).await;
                    }
                });
                Sender::Bounded(sender)
            }
        }
    }

    fn in_actor(&self, job: Job) -> Sample {
        let (sender, mut jobs) = mpsc::channel::<(Job, oneshot::Sender<Sample>)>(CAPACITY);
        self.0.handle.spawn(async move {
            while let Some((job, reply)) = jobs.recv().await {
                reply.send(job.await).expect("the asker waits");
            }
        });
        let (reply, sample) = oneshot::channel();
        sender.blocking_send((job, reply)).expect("the actor lives");
        sample.blocking_recv().expect("the actor answers")
    }

    fn in_task(&self, job: Job) -> Sample {
        self.0.run(job)
    }

    fn ring(&self, actors: usize) -> Self::Ring {
        let (first, mut tokens) = mpsc::unbounded_channel();
        for _ in 1..actors {
            let (next, received) = mpsc::unbounded_channel();
            self.0.handle.spawn(member(std::mem::replace(&mut tokens, received), next));
        }
        self.0.handle.spawn(member(tokens, first.clone()));
        first
    }

    fn spawner(&self) -> Tasks {
        Tasks
    }

    fn crowd(&self, actors: usize) -> Sample {
        self.0.run(async move {
            let (arrivals, all) = Arrivals::of(actors);
            let mut addresses = Vec::with_capacity(actors);
            let span = Span::begin();
            for _ in 0..actors {
                let (sender, messages) = mpsc::channel(CAPACITY);
                tokio::spawn(idle(arrivals.clone(), messages));
                addresses.push(sender);
            }
            all.await.expect("all start");
            span.end()
        })
    }
}
