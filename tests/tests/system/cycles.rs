//! Asks that would wait on themselves are refused; those that only look like it are not.

use std::sync::Arc;

use callboard::{FailureKind, prelude::*};
use parking_lot::Mutex;
use tokio::{
    sync::Barrier,
    time::{Instant, sleep},
};

/// Asks the others along a way and adds up how many were visited: the reply, or why there is none.
#[derive(Message)]
#[message(reply = Walked)]
struct Walk(Vec<Addr<Walker>>);

/// How many were visited, or the kind of failure where the way ended.
type Walked = Result<usize, FailureKind>;

/// Meets another at a barrier, so that both are at work, and asks then.
#[derive(Message)]
#[message(reply = Walked)]
struct MeetAndWalk(Arc<Barrier>, Vec<Addr<Walker>>);

/// Asks all of these at the same time.
#[derive(Message)]
#[message(reply = Vec<Walked>)]
struct WalkAll(Vec<Vec<Addr<Walker>>>);

/// Asks, gives up early, and goes on with the second way.
#[derive(Message)]
#[message(reply = Walked)]
struct GiveUpAndWalk(Vec<Addr<Walker>>, Vec<Addr<Walker>>);

/// Asks from a task of its own, which gives the reply.
#[derive(Message)]
#[message(reply = Walked)]
struct WalkBeside(Vec<Addr<Walker>>);

/// Asks from a task of its own, which notes the outcome, while the handler awaits.
#[derive(Message)]
struct NapWithWalkBeside(Duration, Vec<Addr<Walker>>, Arc<Mutex<Option<Walked>>>);

/// Answered after a while, by somebody else.
#[derive(Message)]
#[message(reply = usize)]
struct Later(Duration);

/// Asks that one for [`Later`].
#[derive(Message)]
#[message(reply = usize)]
struct AskLater(Addr<Walker>);

/// Works for a while.
#[derive(Message)]
#[message(reply = usize)]
struct Nap(Duration);

#[derive(Actor)]
struct Walker;

async fn walk(mut way: Vec<Addr<Walker>>) -> Walked {
    if way.is_empty() {
        return Ok(1);
    }
    let next = way.remove(0);
    match next.ask(Walk(way)).await {
        Ok(walked) => walked.map(|visited| visited + 1),
        Err(AskError::Failed(failure)) => Err(failure.kind().clone()),
        Err(AskError::Rejected(never)) => match never {},
    }
}

#[handlers]
impl Walker {
    #[handle(local)]
    async fn walk(&mut self, Walk(way): Walk) -> Walked {
        walk(way).await
    }

    #[handle(local)]
    async fn meet_and_walk(&mut self, MeetAndWalk(barrier, way): MeetAndWalk) -> Walked {
        barrier.wait().await;
        walk(way).await
    }

    #[handle(local)]
    async fn walk_all(&mut self, WalkAll(mut ways): WalkAll) -> Vec<Walked> {
        let (last, first) = (ways.pop().unwrap_or_default(), ways.pop().unwrap_or_default());
        let (first, last) = tokio::join!(walk(first), walk(last));
        vec![first, last]
    }

    #[handle(local)]
    async fn give_up_and_walk(&mut self, GiveUpAndWalk(one, two): GiveUpAndWalk) -> Walked {
        let given_up = tokio::time::timeout(Duration::from_millis(1), walk(one)).await;
        assert!(given_up.is_err(), "it takes longer");
        walk(two).await
    }

    #[handle(defer)]
    fn later(&mut self, Later(time): Later, reply: Reply<Later>, ctx: &mut Ctx<Self>) {
        ctx.spawn(async move {
            sleep(time).await;
            reply.send(1);
        });
    }

    #[handle(defer)]
    fn walk_beside(
        &mut self,
        WalkBeside(way): WalkBeside,
        reply: Reply<WalkBeside>,
        ctx: &mut Ctx<Self>,
    ) {
        ctx.spawn(async move { reply.send(walk(way).await) });
    }

    #[handle(local)]
    async fn nap_with_walk_beside(
        &mut self,
        NapWithWalkBeside(time, way, walked): NapWithWalkBeside,
        ctx: &mut Ctx<Self>,
    ) {
        ctx.spawn(async move { *walked.lock() = Some(walk(way).await) });
        sleep(time).await;
    }

    #[handle(local)]
    async fn ask_later(&mut self, AskLater(other): AskLater) -> usize {
        other.ask(Later(Duration::from_secs(1))).await.expect("an answer, in time")
    }

    #[handle(local)]
    async fn nap(&mut self, Nap(time): Nap) -> usize {
        sleep(time).await;
        1
    }
}

fn walkers<const N: usize>(system: &System) -> [Addr<Walker>; N] {
    let names = ["a", "b", "c", "d"];
    std::array::from_fn(|at| system.actor(|| Walker).name(names[at]).spawn().expect("it is up"))
}

/// The path of a refused ask, turned so that it begins with the first name.
fn path(walked: Walked) -> Vec<String> {
    let Err(FailureKind::Cycle { mut path }) = walked else { panic!("no cycle: {walked:?}") };
    assert!(path.len() > 1 && path.first() == path.last(), "it is closed: {path:?}");
    path.pop();
    let first = path.iter().enumerate().min_by_key(|(_, name)| (*name).clone());
    let at = first.map_or(0, |(at, _)| at);
    path.rotate_left(at);
    path
}

/// At once means that no time has passed on the paused clock.
async fn at_once<T>(future: impl Future<Output = T>) -> T {
    let before = Instant::now();
    let output = future.await;
    assert!(before.elapsed() < Duration::from_millis(10), "it took {:?}", before.elapsed());
    output
}

#[callboard::test]
async fn an_actor_that_asks_itself_is_told_so(system: System) -> callboard::Result<()> {
    let [a] = walkers(&system);
    let walked = at_once(a.ask(Walk(vec![a.clone()]))).await?;
    assert_eq!(path(walked), ["a"]);
    assert_eq!(a.ask(Walk(vec![])).await?, Ok(1), "it goes on");
    Ok(())
}

#[callboard::test]
async fn two_actors_that_ask_each_other_are_told_so(system: System) -> callboard::Result<()> {
    let [a, b] = walkers(&system);
    let walked = at_once(a.ask(Walk(vec![b.clone(), a.clone()]))).await?;
    assert_eq!(path(walked), ["a", "b"]);
    Ok(())
}

#[callboard::test]
async fn a_ring_of_four_is_refused_with_its_path(system: System) -> callboard::Result<()> {
    let [a, b, c, d] = walkers(&system);
    let ring = vec![b.clone(), c.clone(), d.clone(), a.clone()];
    assert_eq!(path(at_once(a.ask(Walk(ring))).await?), ["a", "b", "c", "d"]);
    // A tail before the ring is no part of it.
    let tailed = vec![b.clone(), c.clone(), d, b.clone()];
    assert_eq!(path(at_once(a.ask(Walk(tailed))).await?), ["b", "c", "d"]);
    Ok(())
}

#[callboard::test]
async fn two_chains_that_cross_end_at_once(system: System) -> callboard::Result<()> {
    let [a, b] = walkers(&system);
    let barrier = Arc::new(Barrier::new(2));
    let one = a.ask(MeetAndWalk(barrier.clone(), vec![b.clone()]));
    let two = b.ask(MeetAndWalk(barrier, vec![a.clone()]));
    let (one, two) = at_once(async { tokio::join!(one, two) }).await;
    let (refused, walked): (Vec<_>, Vec<_>) = [one?, two?].into_iter().partition(Result::is_err);
    assert_eq!(
        (refused.len(), walked.len()),
        (1, 1),
        "one gives way, and the other gets its answer"
    );
    assert_eq!(walked[0], Ok(2));
    for refused in refused {
        assert_eq!(path(refused), ["a", "b"]);
    }
    Ok(())
}

#[callboard::test]
async fn an_ask_through_a_recipient_is_refused_too(system: System) -> callboard::Result<()> {
    /// Asks by message, not knowing whom.
    #[derive(Actor)]
    struct Blind;

    #[derive(Message)]
    #[message(reply = bool)]
    struct Ask(Recipient<Look>);

    #[derive(Message)]
    #[message(reply = bool)]
    struct Look;

    #[handlers]
    impl Blind {
        #[handle(local)]
        async fn ask(&mut self, Ask(whom): Ask) -> bool {
            let asked = whom.ask(Look).await.expect_err("it waits on itself");
            matches!(asked.failure().map(Failure::kind), Some(FailureKind::Cycle { .. }))
        }

        #[handle(local)]
        fn look(&mut self, _: Look) -> bool {
            true
        }
    }

    let blind = system.spawn(|| Blind)?;
    assert!(at_once(blind.ask(Ask(blind.recipient()))).await?);
    Ok(())
}

/// On threads of their own, where both ask in the same instant.
#[test]
fn chains_that_cross_on_two_threads_end_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let system = System::builder().arbiters(2).start().await.expect("a system");
        let [a, b] = walkers(&system);
        for _ in 0..200 {
            let barrier = Arc::new(Barrier::new(2));
            let one = a.ask(MeetAndWalk(barrier.clone(), vec![b.clone()]));
            let two = b.ask(MeetAndWalk(barrier, vec![a.clone()]));
            // The deadline of the asks is thirty seconds: this is the limit that shows a missed one.
            let both =
                tokio::time::timeout(Duration::from_secs(20), async { tokio::join!(one, two) });
            let (one, two) = both.await.expect("neither waits for its deadline");
            let (one, two) = (one.expect("an answer"), two.expect("an answer"));
            assert!(one.is_err() || two.is_err(), "one gave way: {one:?}, {two:?}");
            for refused in [one, two].into_iter().filter(Result::is_err) {
                assert_eq!(path(refused), ["a", "b"]);
            }
        }
        system.shutdown().await.expect("in order");
    });
}

// What only looks like a cycle.

#[callboard::test]
async fn asks_in_parallel_are_not_refused(system: System) -> callboard::Result<()> {
    let [a, b, c, d] = walkers(&system);
    // Both ways end at the same actor, which is busy with one while the other comes.
    let ways = vec![vec![b.clone(), d.clone()], vec![c.clone(), d.clone()]];
    assert_eq!(a.ask(WalkAll(ways)).await?, [Ok(3), Ok(3)]);
    // One of them asks the other.
    let ways = vec![vec![b.clone(), c.clone()], vec![c.clone()]];
    assert_eq!(a.ask(WalkAll(ways)).await?, [Ok(3), Ok(2)]);
    // Nothing of it is left.
    assert_eq!(b.ask(Walk(vec![a.clone()])).await?, Ok(2));
    assert_eq!(c.ask(Walk(vec![a])).await?, Ok(2));
    Ok(())
}

#[callboard::test]
async fn an_ask_from_a_task_of_the_actor_is_not_refused(system: System) -> callboard::Result<()> {
    let [a, b] = walkers(&system);
    // The actor is free while its task asks: itself, and another one that asks back.
    assert_eq!(a.ask(WalkBeside(vec![a.clone()])).await?, Ok(2));
    assert_eq!(a.ask(WalkBeside(vec![b.clone(), a.clone()])).await?, Ok(3));
    // It is busy, but not for ever.
    let walked = Arc::new(Mutex::new(None));
    let way = vec![b, a.clone()];
    a.ask(NapWithWalkBeside(Duration::from_secs(1), way, walked.clone())).await?;
    sleep(Duration::from_millis(10)).await;
    assert_eq!(*walked.lock(), Some(Ok(3)));
    Ok(())
}

#[callboard::test]
async fn an_ask_that_was_given_up_is_forgotten(system: System) -> callboard::Result<()> {
    let [a, b, c] = walkers(&system);
    b.tell(Nap(Duration::from_secs(1))).await?;
    // While b is busy a gives its ask of b up and asks c; b then asks a.
    let (walked, back) =
        tokio::join!(a.ask(GiveUpAndWalk(vec![b.clone()], vec![c.clone()])), async {
            b.ask(Walk(vec![a.clone()])).await
        });
    assert_eq!((walked?, back?), (Ok(2), Ok(2)));
    Ok(())
}

#[callboard::test]
async fn whoever_waits_for_a_deferred_reply_can_be_asked(system: System) -> callboard::Result<()> {
    let [a, b] = walkers(&system);
    // a waits for a reply that b has deferred: b is free, and an ask from b to a has to wait, but
    // not for ever.
    let (asked, back) = tokio::join!(a.ask(AskLater(b.clone())), async {
        sleep(Duration::from_millis(100)).await;
        b.ask(Walk(vec![a.clone()])).await
    });
    assert_eq!((asked?, back?), (1, Ok(2)));
    Ok(())
}

#[callboard::test]
async fn asks_from_outside_close_no_cycle(system: System) -> callboard::Result<()> {
    let [a, b] = walkers(&system);
    // From this task, while a waits on b, which is busy.
    b.tell(Nap(Duration::from_secs(1))).await?;
    let (through, b_again, a_again) =
        tokio::join!(a.ask(Walk(vec![b.clone()])), b.ask(Walk(vec![])), a.ask(Walk(vec![])));
    assert_eq!((through?, b_again?, a_again?), (Ok(2), Ok(1), Ok(1)));
    Ok(())
}
