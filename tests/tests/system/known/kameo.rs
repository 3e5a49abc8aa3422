//! Expected by users of kameo: mailboxes over restarts, when to restart, stops in order, limits of
//! asks and tells.

use callboard::{ActorState, FailureKind, prelude::*};
use tokio::time::Instant;

use super::{
    Add, Always, Burst, Diary, Farewell, Hasty, Narrow, Never, Note, Plain, Quit, Refuse, Rest,
    Start, Worker, kind, ms, settle, worker, worker_that,
};

async fn told(addr: &Addr<Worker<impl super::Policy>>, notes: std::ops::Range<u64>) {
    for n in notes {
        addr.tell(Note(n)).await.expect("it is accepted");
    }
}

fn notes(diary: &Diary) -> Vec<String> {
    diary.lines().into_iter().filter(|line| line.starts_with("note")).collect()
}

// As kameo: what waits when a handler panics is handled by the next incarnation, in order.
#[callboard::test]
async fn messages_survive_a_restart_after_a_panic(system: System) -> callboard::Result<()> {
    for _ in 0..50 {
        let diary = Diary::default();
        let addr = system.spawn(worker::<Plain>(&diary))?;
        addr.started().await?;
        addr.tell(Burst).await?;
        told(&addr, 0..2).await;
        settle().await;
        assert_eq!(diary.lines(), ["started", "bursts", "started", "note 0", "note 1"]);
    }
    Ok(())
}

// As kameo: so is what waits when an actor stops by itself and is to be built again.
#[callboard::test]
async fn messages_survive_a_restart_after_a_stop(system: System) -> callboard::Result<()> {
    for _ in 0..50 {
        let diary = Diary::default();
        let addr = system.spawn(worker::<Always>(&diary))?;
        addr.started().await?;
        addr.tell(Rest(ms(10))).await?;
        addr.tell(Quit).await?;
        told(&addr, 0..2).await;
        settle().await;
        assert_eq!(diary.count("started"), 2);
        assert_eq!(notes(&diary), ["note 0", "note 1"]);
    }
    Ok(())
}

// As kameo: it makes no difference whether the start of the next incarnation takes long.
#[callboard::test]
async fn messages_survive_a_slow_restart(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let slow = Start::Takes(Duration::from_secs(1));
    let addr = system.spawn(worker_that::<Plain>(&diary, slow, Farewell::Succeeds))?;
    addr.started().await?;
    addr.tell(Burst).await?;
    told(&addr, 0..2).await;
    settle().await;
    told(&addr, 2..4).await;
    assert_eq!(notes(&diary), [""; 0], "it starts");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(notes(&diary), ["note 0", "note 1", "note 2", "note 3"]);
    Ok(())
}

// Other than kameo, where an ask that waits during a restart comes back with an error: it waits as a
// tell does, and the next incarnation answers.
#[callboard::test]
async fn an_ask_waits_for_the_next_incarnation(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let slow = Start::Takes(Duration::from_secs(1));
    let addr = system.spawn(worker_that::<Plain>(&diary, slow, Farewell::Succeeds))?;
    addr.started().await?;
    addr.tell(Burst).await?;
    settle().await;
    assert_eq!(addr.ask(Add(7)).await?, 7);
    Ok(())
}

// As kameo: `never` never, `transient` (here `failure`) after a panic only, `permanent` (here
// `always`) also after a stop of its own. An error that a handler returns is an answer under all.
#[callboard::test]
async fn an_actor_is_restarted_as_its_settings_say(system: System) -> callboard::Result<()> {
    async fn starts<P: super::Policy>(system: &System) -> callboard::Result<[usize; 3]> {
        let mut starts = [0; 3];
        for (at, starts) in starts.iter_mut().enumerate() {
            let diary = Diary::default();
            let addr = system.spawn(worker::<P>(&diary))?;
            addr.started().await?;
            match at {
                0 => addr.tell(Burst).await?,
                1 => addr.tell(Quit).await?,
                _ => assert!(matches!(addr.ask(Refuse).await, Err(AskError::Rejected(_)))),
            }
            settle().await;
            *starts = diary.count("started");
        }
        Ok(starts)
    }
    assert_eq!(starts::<Never>(&system).await?, [1, 1, 1], "never");
    assert_eq!(starts::<Plain>(&system).await?, [2, 1, 1], "after a failure");
    assert_eq!(starts::<Always>(&system).await?, [2, 2, 1], "always");
    Ok(())
}

// Other than kameo, whose default is to restart always: an actor is restarted after failures, unless
// it says otherwise, and ends when it stops by itself.
#[callboard::test]
async fn an_actor_that_stops_itself_ends_by_default(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Plain>(&Diary::default()))?;
    addr.tell(Quit).await?;
    assert_eq!(addr.stopped().await?, StopReason::Finished);
    Ok(())
}

// As kameo: an actor that fails more often than its settings allow ends.
#[callboard::test]
async fn too_many_restarts_end_the_actor(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    for _ in 0..6 {
        addr.tell(Burst).await?;
    }
    assert!(matches!(addr.stopped().await?, StopReason::TooManyRestarts(_)));
    assert_eq!(diary.count("started"), 6, "the first and five more");
    Ok(())
}

// As kameo: restarts that lie longer back than the window do not count.
#[callboard::test]
async fn restarts_outside_the_window_do_not_count(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    for _ in 0..12 {
        addr.tell(Burst).await?;
        tokio::time::sleep(Duration::from_secs(8)).await;
    }
    assert_eq!(addr.ask(Add(1)).await?, 1);
    assert_eq!(diary.count("started"), 13);
    Ok(())
}

// As kameo: rapid restarts, one failure right behind the other, lose nothing.
#[callboard::test]
async fn failures_right_behind_each_other_lose_nothing(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    for n in 0..5 {
        addr.tell(Burst).await?;
        told(&addr, n..n + 1).await;
    }
    settle().await;
    assert_eq!(notes(&diary), ["note 0", "note 1", "note 2", "note 3", "note 4"]);
    Ok(())
}

// As kameo: each incarnation is built from the same factory.
#[callboard::test]
async fn each_incarnation_comes_from_the_factory(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    for _ in 0..3 {
        assert_eq!(addr.ask(Add(5)).await?, 5);
        addr.tell(Burst).await?;
    }
    Ok(())
}

// As kameo: an actor that stops in order takes no more from the moment on that it was told to, by no
// kind of send, and handles what it had.
#[callboard::test]
async fn a_stop_closes_the_mailbox_and_works_it_off(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    let recipient: Recipient<Note> = addr.recipient();
    addr.tell(Rest(ms(100))).await?;
    told(&addr, 0..3).await;
    settle_into_rest().await;
    addr.stop()?;
    tokio::task::yield_now().await;
    assert_eq!(addr.state(), Some(ActorState::Stopping));
    assert_eq!(addr.tell(Note(9)).await.expect_err("refused").into_message().0, 9);
    assert_eq!(addr.try_tell(Note(9)).expect_err("refused").into_message().0, 9);
    assert_eq!(recipient.tell(Note(9)).await.expect_err("refused").into_message().0, 9);
    assert!(matches!(kind(addr.ask(Add(1)).await), FailureKind::Stopped { .. }));
    addr.stopped().await?;
    assert_eq!(notes(&diary), ["note 0", "note 1", "note 2"]);
    Ok(())
}

/// Asks another when it is told to.
#[derive(Actor)]
struct Child {
    parent: Addr<Worker<Plain>>,
    diary: Diary,
}

#[derive(Message)]
struct AskParent(Duration);

#[handlers]
impl Child {
    #[handle]
    async fn ask_parent(&mut self, AskParent(after): AskParent) {
        tokio::time::sleep(after).await;
        match self.parent.ask(Add(1)).await {
            Ok(_) => self.diary.note("answered"),
            Err(error) => self.diary.note(error.to_string()),
        }
    }
}

// As kameo: an ask of an actor that is about to stop does not hold up either of the two; it is
// answered, or refused at once.
#[callboard::test]
async fn asks_of_an_actor_that_stops_end_at_once(system: System) -> callboard::Result<()> {
    let (parents, children) = (Diary::default(), Diary::default());
    let parent = system.spawn(worker::<Plain>(&parents))?;
    let child = || {
        let (parent, diary) = (parent.clone(), children.clone());
        system.spawn(move || Child { parent: parent.clone(), diary: diary.clone() })
    };
    let (early, late) = (child()?, child()?);
    parent.tell(Rest(ms(50))).await?;
    early.tell(AskParent(ms(0))).await?;
    late.tell(AskParent(ms(20))).await?;
    tokio::time::sleep(ms(10)).await;
    parent.stop()?;
    let ended = tokio::time::timeout(Duration::from_secs(2), parent.stopped()).await;
    assert_eq!(ended.expect("in time")?, StopReason::Requested);
    settle().await;
    let refused = "Worker has stopped and takes no more messages";
    assert_eq!(children.lines(), [refused, "answered"]);
    Ok(())
}

// As kameo: an ask of an actor that fails for good meanwhile ends at once.
#[callboard::test]
async fn an_ask_of_an_actor_that_ends_meanwhile_ends_at_once(
    system: System,
) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Never>(&Diary::default()))?;
    let before = Instant::now();
    let (burst, waiting) = tokio::join!(addr.ask(Burst), addr.ask(Add(1)));
    assert_eq!(kind(burst), FailureKind::Panicked);
    let waiting = waiting.expect_err("the actor is gone");
    assert_eq!(waiting.delivery(), Delivery::NotDelivered);
    assert!(before.elapsed() < ms(10));
    Ok(())
}

// As kameo: nobody who waits for an actor waits in vain when it panics while it starts or ends.
#[callboard::test]
async fn panics_of_the_hooks_hold_up_nobody(system: System) -> callboard::Result<()> {
    for (start, farewell) in
        [(Start::Panics, Farewell::Succeeds), (Start::Succeeds, Farewell::Panics)]
    {
        let addr = system.spawn(worker_that::<Plain>(&Diary::default(), start, farewell))?;
        let all = async {
            assert_eq!(addr.started().await.is_ok(), start == Start::Succeeds);
            addr.stop()?;
            addr.stopped().await
        };
        tokio::time::timeout(Duration::from_secs(1), all).await.expect("in time")?;
    }
    Ok(())
}

// As kameo with a bounded mailbox: a send that does not wait is refused when it is full, one that
// waits gets the next room.
#[callboard::test]
async fn a_full_mailbox_makes_tells_wait(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Narrow>(&diary))?;
    addr.tell(Rest(ms(100))).await?;
    settle_into_rest().await;
    told(&addr, 0..4).await;
    addr.try_tell(Note(4)).expect_err("it is full");
    let before = Instant::now();
    told(&addr, 4..5).await;
    assert!((ms(90)..ms(110)).contains(&before.elapsed()));
    settle().await;
    assert_eq!(notes(&diary).len(), 5);
    Ok(())
}

// As kameo with a mailbox timeout, here always thirty seconds: a tell does not wait for room for ever
// and comes back.
#[callboard::test]
async fn a_tell_does_not_wait_for_room_for_ever(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Narrow>(&Diary::default()))?;
    addr.tell(Rest(Duration::from_secs(60))).await?;
    settle_into_rest().await;
    told(&addr, 0..4).await;
    let before = Instant::now();
    let refused = addr.tell(Note(4)).await.expect_err("there is no room");
    assert_eq!(before.elapsed().as_secs(), 30);
    assert!(matches!(refused.failure().kind(), FailureKind::MailboxFull { .. }));
    assert_eq!(refused.into_message().0, 4);
    Ok(())
}

// As kameo with a mailbox timeout: an ask that gets no room ends at its limit, which is one for the
// room and the reply together, and says that it was not delivered.
#[callboard::test]
async fn an_ask_that_gets_no_room_was_not_delivered(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Narrow>(&Diary::default()))?;
    addr.tell(Rest(Duration::from_secs(60))).await?;
    settle_into_rest().await;
    told(&addr, 0..4).await;
    let asked = addr.ask(Add(1)).timeout(Duration::from_secs(1)).await.expect_err("no room");
    assert_eq!(asked.delivery(), Delivery::NotDelivered);
    let queued = system.spawn(worker::<Plain>(&Diary::default()))?;
    queued.tell(Rest(Duration::from_secs(60))).await?;
    let asked = queued.ask(Add(1)).timeout(Duration::from_secs(1)).await.expect_err("no answer");
    assert_eq!(asked.delivery(), Delivery::Unknown);
    Ok(())
}

// Other than kameo, where an ask without a limit waits for ever: there always is one, thirty
// seconds unless the call says otherwise.
#[callboard::test]
async fn an_ask_waits_thirty_seconds_unless_told_otherwise(
    system: System,
) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Plain>(&Diary::default()))?;
    addr.tell(Rest(Duration::from_secs(3600))).await?;
    let before = Instant::now();
    assert!(matches!(kind(addr.ask(Add(1)).await), FailureKind::DeadlinePassed { .. }));
    assert_eq!(before.elapsed().as_secs(), 30);
    let asked = addr.ask(Add(1)).timeout(Duration::from_secs(90)).await;
    assert!(matches!(kind(asked), FailureKind::DeadlinePassed { .. }));
    assert_eq!(before.elapsed().as_secs(), 120);
    Ok(())
}

// As kameo with leftover messages, here in part: when an actor must end before it came to all it had
// accepted, those who asked are told that they were not handled; tells are counted in the log.
#[callboard::test]
async fn askers_are_told_of_what_an_actor_did_not_come_to(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Hasty>(&diary))?;
    addr.tell(Rest(Duration::from_secs(60))).await?;
    told(&addr, 0..3).await;
    let (one, two, ()) = tokio::join!(addr.ask(Add(1)), addr.ask(Add(2)), async {
        settle_into_rest().await;
        addr.stop().expect("a local actor");
    });
    for asked in [one, two] {
        let asked = asked.expect_err("it was not handled");
        assert_eq!(asked.delivery(), Delivery::NotDelivered);
    }
    assert_eq!(notes(&diary), [""; 0]);
    Ok(())
}

// As kameo: nothing of that sort happens when it stops with an empty mailbox, or is restarted.
#[callboard::test]
async fn asks_behind_a_failure_are_answered_after_the_restart(
    system: System,
) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Plain>(&Diary::default()))?;
    let (burst, one, two) = tokio::join!(addr.ask(Burst), addr.ask(Add(10)), addr.ask(Add(11)));
    assert_eq!(kind(burst), FailureKind::Panicked);
    assert_eq!((one?, two?), (10, 21));
    Ok(())
}

/// Until the actor has taken its `Rest` out of the mailbox.
async fn settle_into_rest() {
    tokio::time::sleep(ms(1)).await;
}
