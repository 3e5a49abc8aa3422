use crate::{
    actor::{SpawnOptions, spawn_on, tests::with_host},
    prelude::*,
};

#[derive(Message)]
enum Do {
    Watch(Addr<Mortal>),
    Unwatch(Addr<Mortal>),
    Link(Addr<Mortal>),
    Unlink(Addr<Mortal>),
}

#[derive(Actor)]
struct Mortal;

#[handlers]
impl Mortal {
    #[handle]
    fn act(&mut self, action: Do, ctx: &mut Ctx<Self>) {
        match action {
            Do::Watch(other) => ctx.watch(&other).expect("it is here"),
            Do::Unwatch(other) => ctx.unwatch(&other),
            Do::Link(other) => ctx.link(&other).expect("it is here"),
            Do::Unlink(other) => ctx.unlink(&other),
        }
    }

    #[handle]
    fn terminated(&mut self, _: Terminated) {}
}

fn with_two(test: impl AsyncFnOnce(Addr<Mortal>, Addr<Mortal>)) {
    with_host(async |host| {
        let spawn = || spawn_on(&host, || Mortal, SpawnOptions::new());
        test(spawn(), spawn()).await;
    });
}

/// How many watch an actor and are linked to it.
fn counts(addr: &Addr<Mortal>) -> (usize, usize) {
    addr.shared().expect("it is here").ties.counts()
}

#[test]
fn ties_that_are_given_up_are_forgotten_on_both_sides() {
    with_two(async |a, b| {
        for action in [Do::Watch(b.clone()), Do::Link(b.clone())] {
            a.ask(action).await.expect("it acts");
        }
        assert_eq!((counts(&a), counts(&b)), ((0, 1), (1, 1)));
        for action in [Do::Unwatch(b.clone()), Do::Unlink(b.clone())] {
            a.ask(action).await.expect("it acts");
        }
        assert_eq!((counts(&a), counts(&b)), ((0, 0), (0, 0)));
    });
}

#[test]
fn an_actor_that_has_ended_is_forgotten_by_those_it_was_tied_to() {
    with_two(async |a, b| {
        for action in [Do::Watch(b.clone()), Do::Link(b.clone())] {
            a.ask(action).await.expect("it acts");
        }
        a.stop().expect("it is here");
        a.stopped().await.expect("it is here");
        assert_eq!((counts(&a), counts(&b)), ((0, 0), (0, 0)));
    });
}
