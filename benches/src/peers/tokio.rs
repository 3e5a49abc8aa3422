//! An actor as people write it by hand: a task that reads an mpsc channel.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::thread::RuntimeThread;
use crate::{
    peer::{Arrivals, CAPACITY, Counter, Job, Mailbox, Peer, Ring, Token, Yielding},
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

/// Tokio's own means.
#[derive(Debug)]
pub struct Tokio(RuntimeThread);

impl Peer for Tokio {
    const NAME: &'static str = "tokio";
    const HAS_BOUNDED: bool = true;
    type Counter = Sender;
    type Ring = mpsc::UnboundedSender<Token>;

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
