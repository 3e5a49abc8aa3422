//! Ping-pong: one message between two actors, to and fro.

use std::marker::PhantomData;

use tokio::sync::oneshot;

use super::{At, Done, counted, warmed_up};
use crate::{
    peer::{Address, Behaviour, Flow, Peer, Spawner},
    span::Sample,
};

/// Sends one there and one back, so many messages in all.
pub fn run<P: Peer>(peer: &P, messages: u64) -> Sample {
    let spawner = peer.spawner();
    peer.in_task(warmed_up(
        messages,
        async move {
            let pong = spawner.spawn(|| Pong(PhantomData)).await;
            spawner.spawn(move || Ping { pong: pong.clone(), game: None }).await
        },
        |me: At<P, Ping<P::Spawner>>, messages| async move {
            let (rounds, (done, over)) = (messages / 2, oneshot::channel());
            me.send(ToPing::Start(Box::new(Game { me: me.clone(), rounds, returned: 0, done })));
            counted(over, rounds, "every ball comes back").await;
        },
    ))
}

/// Serves, and serves again when the ball comes back.
struct Ping<S: Spawner> {
    pong: S::Address<Pong<S>>,
    game: Option<Game<S>>,
}

struct Game<S: Spawner> {
    me: S::Address<Ping<S>>,
    rounds: u64,
    returned: u64,
    done: Done,
}

enum ToPing<S: Spawner> {
    Start(Box<Game<S>>),
    Returned,
}

impl<S: Spawner> Behaviour for Ping<S> {
    type Message = ToPing<S>;

    fn on(&mut self, message: ToPing<S>) -> Flow {
        match message {
            ToPing::Start(game) => self.game = Some(*game),
            ToPing::Returned => self.game.as_mut().expect("a game is on").returned += 1,
        }
        match self.game.take_if(|game| game.returned == game.rounds) {
            Some(over) => over.done.send(over.returned).expect("the workload waits"),
            None => {
                let game = self.game.as_ref().expect("a game is on");
                self.pong.send(Served { from: game.me.clone() });
            }
        }
        Flow::Goes
    }
}

/// Sends every ball back to whom it came from.
struct Pong<S>(PhantomData<fn() -> S>);

struct Served<S: Spawner> {
    from: S::Address<Ping<S>>,
}

impl<S: Spawner> Behaviour for Pong<S> {
    type Message = Served<S>;

    fn on(&mut self, Served { from }: Served<S>) -> Flow {
        from.send(ToPing::Returned);
        Flow::Goes
    }
}
