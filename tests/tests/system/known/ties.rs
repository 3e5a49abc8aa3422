//! Expected by users of ractor and kameo: to hear of the end of another actor, and to end with it.

use callboard::prelude::*;

use super::{
    Add, Burst, Diary, Doer, Farewell, Never, Note, Plain, Rest, Start, Worker, act, doer, ms,
    settle, worker, worker_that,
};

async fn watch<P: super::Policy>(doer: &Addr<Doer>, other: &Addr<Worker<P>>) {
    let other = other.clone();
    doer.ask(act(move |ctx| ctx.watch(&other).expect("a local actor"))).await.expect("it lives");
}

async fn link<P: super::Policy>(doer: &Addr<Doer>, other: &Addr<Worker<P>>) {
    let other = other.clone();
    doer.ask(act(move |ctx| ctx.link(&other).expect("a local actor"))).await.expect("it lives");
}

// As ractor with its monitors: an actor hears of the end of another one, with the reason.
#[callboard::test]
async fn a_watcher_hears_of_the_end_with_its_reason(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let watcher = system.spawn(doer(&diary))?;
    let stopped = system.actor(worker::<Plain>(&Diary::default())).name("one").spawn()?;
    let failed = system.actor(worker::<Never>(&Diary::default())).name("two").spawn()?;
    watch(&watcher, &stopped).await;
    watch(&watcher, &failed).await;
    stopped.stop()?;
    settle().await;
    failed.tell(Burst).await?;
    settle().await;
    let reasons =
        ["one: it was told to stop", "two: it failed and is not restarted: panicked: burst"];
    assert_eq!(diary.lines(), reasons);
    Ok(())
}

// As ractor: who does not watch any more hears nothing.
#[callboard::test]
async fn who_watches_no_more_hears_nothing(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let watcher = system.spawn(doer(&diary))?;
    let other = system.spawn(worker::<Plain>(&Diary::default()))?;
    watch(&watcher, &other).await;
    let unwatched = other.clone();
    watcher.ask(act(move |ctx| ctx.unwatch(&unwatched))).await?;
    other.stop()?;
    settle().await;
    assert_eq!(diary.lines(), [""; 0]);
    Ok(())
}

// Other than ractor, where a failure is an end: a failure that is followed by a restart is none.
#[callboard::test]
async fn a_restart_is_no_end(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let watcher = system.spawn(doer(&diary))?;
    let other = system.actor(worker::<Plain>(&Diary::default())).name("one").spawn()?;
    watch(&watcher, &other).await;
    other.tell(Burst).await?;
    settle().await;
    assert_eq!(diary.lines(), [""; 0]);
    other.stop()?;
    settle().await;
    assert_eq!(diary.lines(), ["one: it was told to stop"]);
    Ok(())
}

// As kameo: who begins to watch too late is told all the same, and nobody is told twice.
#[callboard::test]
async fn who_watches_late_or_twice_hears_once(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let watcher = system.spawn(doer(&diary))?;
    let other = system.actor(worker::<Plain>(&Diary::default())).name("one").spawn()?;
    let ended = system.actor(worker::<Plain>(&Diary::default())).name("two").spawn()?;
    ended.stop()?;
    ended.stopped().await?;
    watch(&watcher, &other).await;
    watch(&watcher, &other).await;
    watch(&watcher, &ended).await;
    settle().await;
    other.stop()?;
    settle().await;
    assert_eq!(diary.lines(), ["two: it was told to stop", "one: it was told to stop"]);
    Ok(())
}

// As ractor, whose supervisors see a failed start and a panic in the last hook: a watcher hears of
// either.
#[callboard::test]
async fn a_watcher_hears_of_a_failed_start_and_of_a_failed_farewell(
    system: System,
) -> callboard::Result<()> {
    let diary = Diary::default();
    let watcher = system.spawn(doer(&diary))?;
    let start = worker_that::<Plain>(&Diary::default(), Start::Fails, Farewell::Succeeds);
    let start = system.actor(start).name("one").spawn()?;
    let farewell = worker_that::<Plain>(&Diary::default(), Start::Succeeds, Farewell::Panics);
    let farewell = system.actor(farewell).name("two").spawn()?;
    watch(&watcher, &start).await;
    settle().await;
    watch(&watcher, &farewell).await;
    farewell.stop()?;
    settle().await;
    let reasons = ["one: it could not start: there is no coffee", "two: it was told to stop"];
    assert_eq!(diary.lines(), reasons);
    Ok(())
}

// As kameo: a notice is not lost when the mailbox is full, and comes while others wait.
#[callboard::test]
async fn a_notice_waits_for_room_and_is_not_lost(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let watcher = system.actor(doer(&diary)).mailbox(2).spawn()?;
    let other = system.actor(worker::<Plain>(&Diary::default())).name("one").spawn()?;
    watch(&watcher, &other).await;
    watcher.tell(Rest(ms(1_000))).await?;
    tokio::time::sleep(ms(1)).await;
    watcher.try_tell(Note(1)).expect("room");
    watcher.try_tell(Note(2)).expect("room");
    watcher.try_tell(Note(3)).expect_err("it is full");
    other.stop()?;
    tokio::time::sleep(ms(2_000)).await;
    assert_eq!(diary.lines()[1..], ["rested", "note 1", "note 2", "one: it was told to stop"]);
    Ok(())
}

// As kameo: actors that are linked fail together, whichever of them fails.
#[callboard::test]
async fn linked_actors_fail_together(system: System) -> callboard::Result<()> {
    let doer_first = system.actor(doer(&Diary::default())).name("doer").spawn()?;
    let one = system.actor(worker::<Never>(&Diary::default())).name("one").spawn()?;
    link(&doer_first, &one).await;
    one.tell(Burst).await?;
    let StopReason::Linked { name, reason } = doer_first.stopped().await? else {
        panic!("it was linked")
    };
    assert_eq!(
        (name.as_str(), reason.as_str()),
        ("one", "it failed and is not restarted: panicked: burst")
    );

    let diary = Diary::default();
    let doer_second = system.actor(doer(&Diary::default())).name("doer").spawn()?;
    let two = system.actor(worker::<Plain>(&diary)).name("two").spawn()?;
    link(&doer_second, &two).await;
    // It may be built again once.
    doer_second.tell(Burst).await?;
    settle().await;
    assert_eq!(two.ask(Add(1)).await?, 1, "a restart is no end");
    doer_second.tell(Burst).await?;
    assert!(matches!(two.stopped().await?, StopReason::Linked { .. }));
    assert_eq!(diary.lines().len(), 2, "its hook ran: {:?}", diary.lines());
    Ok(())
}

// Other than ractor, where a supervisor that stops takes its children with it: a normal end is not
// passed on.
#[callboard::test]
async fn a_normal_end_is_not_passed_on(system: System) -> callboard::Result<()> {
    let doer = system.spawn(doer(&Diary::default()))?;
    let other = system.spawn(worker::<Plain>(&Diary::default()))?;
    link(&doer, &other).await;
    doer.stop()?;
    doer.stopped().await?;
    settle().await;
    assert_eq!(other.ask(Add(1)).await?, 1);
    Ok(())
}

// As kameo: who is linked no more lives on.
#[callboard::test]
async fn who_is_linked_no_more_lives_on(system: System) -> callboard::Result<()> {
    let doer = system.spawn(doer(&Diary::default()))?;
    let other = system.spawn(worker::<Never>(&Diary::default()))?;
    link(&doer, &other).await;
    let unlinked = other.clone();
    doer.ask(act(move |ctx| ctx.unlink(&unlinked))).await?;
    other.tell(Burst).await?;
    other.stopped().await?;
    settle().await;
    doer.ask(Note(1)).await?;
    Ok(())
}

// As ractor: two actors that are linked to each other end both, and neither waits for the other.
#[callboard::test]
async fn a_link_in_both_directions_ends_both(system: System) -> callboard::Result<()> {
    let (one, two) =
        (system.spawn(doer(&Diary::default()))?, system.spawn(doer(&Diary::default()))?);
    for (from, to) in [(&one, &two), (&two, &one)] {
        let to = to.clone();
        from.ask(act(move |ctx| ctx.link(&to).expect("a local actor"))).await?;
    }
    one.tell(Burst).await?;
    one.tell(Burst).await?;
    assert!(matches!(one.stopped().await?, StopReason::TooManyRestarts(_)));
    assert!(matches!(two.stopped().await?, StopReason::Linked { .. }));
    Ok(())
}

// As kameo: an actor that is stopped by a link stops also while a handler awaits another one that has
// gone.
#[callboard::test]
async fn a_link_stops_an_actor_whose_handler_awaits(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let doer = system.spawn(doer(&diary))?;
    let other = system.spawn(worker::<Never>(&Diary::default()))?;
    link(&doer, &other).await;
    doer.tell(Rest(ms(1_000))).await?;
    tokio::time::sleep(ms(10)).await;
    other.tell(Burst).await?;
    settle().await;
    doer.try_tell(Note(1)).expect_err("it takes no more already");
    assert!(matches!(doer.stopped().await?, StopReason::Linked { .. }));
    assert_eq!(diary.lines()[..2], ["rests", "rested"], "it works off what it had accepted");
    Ok(())
}
