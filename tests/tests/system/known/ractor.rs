//! Expected by users of ractor: starts that fail, stops, drains, kills, calls, supervision, time.

use callboard::{ActorState, FailureKind, prelude::*};
use tokio::time::Instant;

use super::{
    Add, Burst, Diary, Farewell, Hasty, Narrow, Never, Note, Plain, Refuse, Rest, Start, Worker,
    kind, ms, settle, worker, worker_that,
};

// As ractor: a panic while an actor starts is an error for whoever waits for the start.
#[callboard::test]
async fn a_panic_while_starting_is_an_error_of_the_start(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker_that::<Plain>(&diary, Start::Panics, Farewell::Succeeds))?;
    addr.started().await.expect_err("it can't start");
    let reason = addr.stopped().await?.to_string();
    assert!(reason.contains("there is no coffee"), "{reason}");
    assert_eq!(diary.lines(), [""; 0], "no hook of its end runs: it never was");
    Ok(())
}

// As ractor: so is an error that the start returns. Only a later start that fails is tried again.
#[callboard::test]
async fn a_start_that_fails_says_why(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker_that::<Plain>(&diary, Start::Fails, Farewell::Succeeds))?;
    let asked = addr.ask(Add(1)).await;
    let FailureKind::StartFailed { reason, .. } = kind(asked) else { panic!("it can't start") };
    assert_eq!(reason, "there is no coffee");
    assert_eq!(
        addr.started().await.expect_err("it can't start").delivery(),
        Delivery::NotDelivered
    );
    Ok(())
}

// As ractor: a factory that panics, too.
#[callboard::test]
async fn a_factory_that_panics_is_an_error_of_the_start(system: System) -> callboard::Result<()> {
    let addr = system.spawn(|| -> Worker<Plain> { panic!("no parts") })?;
    addr.started().await.expect_err("it can't start");
    let reason = addr.stopped().await?.to_string();
    assert!(reason.contains("no parts"), "{reason}");
    Ok(())
}

// As ractor: an actor whose start failed leaves its name to the next. Here names need not be unique
// at all.
#[callboard::test]
async fn a_failed_start_takes_no_name_away(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let failing = worker_that::<Plain>(&diary, Start::Fails, Farewell::Succeeds);
    let failed = system.actor(failing).name("clerk").spawn()?;
    failed.started().await.expect_err("it can't start");
    let (one, two) = (
        system.actor(worker::<Plain>(&diary)).name("clerk").spawn()?,
        system.actor(worker::<Plain>(&diary)).name("clerk").spawn()?,
    );
    assert_eq!((one.name(), one.ask(Add(1)).await?), (two.name(), two.ask(Add(1)).await?));
    assert_ne!(one, two);
    Ok(())
}

// As ractor's instant spawn, here always: `spawn` does not wait for the start, and what is sent
// meanwhile is handled after it.
#[callboard::test]
async fn messages_sent_before_the_start_are_handled_after_it(
    system: System,
) -> callboard::Result<()> {
    let diary = Diary::default();
    let start = Start::Takes(Duration::from_secs(2));
    let addr = system.spawn(worker_that::<Plain>(&diary, start, Farewell::Succeeds))?;
    for n in 0..3 {
        addr.try_tell(Note(n)).expect("room");
    }
    settle().await;
    assert_eq!((diary.lines(), addr.state()), (Vec::new(), Some(ActorState::Starting)));
    addr.started().await?;
    settle().await;
    assert_eq!(diary.lines(), ["started", "note 0", "note 1", "note 2"]);
    Ok(())
}

// Other than ractor, where `stop` passes over what waits: a stop is what ractor calls a drain. The
// handler at work ends, what waits is handled, and then the actor.
#[callboard::test]
async fn a_stop_works_off_what_waits(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    addr.tell(Rest(ms(100))).await?;
    for n in 0..3 {
        addr.tell(Note(n)).await?;
    }
    tokio::time::sleep(ms(10)).await;
    addr.stop()?;
    tokio::time::sleep(ms(10)).await;
    assert_eq!((diary.lines().len(), addr.state()), (2, Some(ActorState::Stopping)), "it rests");
    assert_eq!(addr.stopped().await?, StopReason::Requested);
    let all = ["started", "rests", "rested", "note 0", "note 1", "note 2"];
    assert_eq!(diary.lines()[..6], all);
    assert_eq!(diary.lines()[6..], ["stopped: it was told to stop"]);
    Ok(())
}

// As ractor: a drain handles a thousand messages and refuses the next at once.
#[callboard::test]
async fn a_drain_handles_all_and_takes_no_more(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    addr.tell(Rest(ms(10))).await?;
    for n in 0..1_000 {
        addr.tell(Note(n)).await?;
    }
    tokio::time::sleep(ms(1)).await;
    addr.stop()?;
    tokio::task::yield_now().await;
    let refused = addr.try_tell(Note(1_000)).expect_err("it takes no more");
    assert!(matches!(refused.failure().kind(), FailureKind::Stopped { .. }));
    addr.stopped().await?;
    let notes: Vec<_> = diary.lines().into_iter().filter(|line| line.starts_with("note")).collect();
    assert_eq!(notes, (0..1_000).map(|n| format!("note {n}")).collect::<Vec<_>>());
    Ok(())
}

// As ractor's kill, here after `stop(drain = ..)`: a handler that awaits is dropped where it is, and
// what waited behind it is not handled; its askers are told.
#[callboard::test]
async fn a_handler_that_outlasts_the_drain_is_dropped(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Hasty>(&diary))?;
    addr.tell(Rest(Duration::from_secs(10))).await?;
    addr.tell(Note(1)).await?;
    let (waiting, ended) = tokio::join!(addr.ask(Add(1)), async {
        tokio::time::sleep(ms(10)).await;
        addr.stop()?;
        let before = Instant::now();
        addr.stopped().await?;
        Ok::<_, Failure>(before.elapsed())
    });
    assert!((ms(100)..ms(200)).contains(&ended?));
    assert!(matches!(kind(waiting), FailureKind::Stopped { .. }));
    assert_eq!(diary.lines(), ["started", "rests", "stopped: it was told to stop"]);
    Ok(())
}

// As ractor: a start that never ends can be ended.
#[callboard::test]
async fn a_start_that_never_ends_is_ended_by_a_stop(system: System) -> callboard::Result<()> {
    let never = worker_that::<Hasty>(&Diary::default(), Start::NeverEnds, Farewell::Succeeds);
    let addr = system.spawn(never)?;
    settle().await;
    addr.stop()?;
    let reason = tokio::time::timeout(Duration::from_secs(1), addr.stopped()).await;
    assert_eq!(reason.expect("in time")?, StopReason::Requested);
    addr.started().await.expect_err("it never started");
    Ok(())
}

// As ractor: so can a `stopped` hook that never ends. Here the time for it is that of the drain.
#[callboard::test]
async fn a_stopped_hook_that_never_ends_is_dropped(system: System) -> callboard::Result<()> {
    let never = worker_that::<Hasty>(&Diary::default(), Start::Succeeds, Farewell::NeverEnds);
    let addr = system.spawn(never)?;
    addr.started().await?;
    addr.stop()?;
    let reason = tokio::time::timeout(Duration::from_secs(1), addr.stopped()).await;
    assert_eq!(reason.expect("in time")?, StopReason::Requested);
    Ok(())
}

// As ractor: who waits for the end waits for the `stopped` hook too; any number may wait, also later.
#[callboard::test]
async fn all_who_wait_for_the_end_are_told_after_the_stopped_hook(
    system: System,
) -> callboard::Result<()> {
    let diary = Diary::default();
    let farewell = Farewell::Takes(Duration::from_secs(1));
    let addr = system.spawn(worker_that::<Plain>(&diary, Start::Succeeds, farewell))?;
    addr.started().await?;
    let (one, two, ()) = tokio::join!(addr.stopped(), addr.stopped(), async {
        settle().await;
        addr.stop().expect("a local actor");
    });
    assert_eq!((one?, two?), (StopReason::Requested, StopReason::Requested));
    assert_eq!(diary.lines(), ["started", "stopped: it was told to stop"]);
    for _ in 0..3 {
        assert_eq!(addr.stopped().await?, StopReason::Requested);
        addr.stop()?;
    }
    Ok(())
}

// As ractor: a call is answered, one that nobody answers fails, and many can be made at once.
#[callboard::test]
async fn calls_are_answered_one_by_one_and_many_at_once(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let workers: Vec<_> =
        (0..10).map(|_| system.spawn(worker::<Plain>(&diary))).collect::<callboard::Result<_>>()?;
    let asks = workers.iter().zip(0..).map(|(worker, n)| worker.ask(Add(n)));
    let replies: Vec<u64> = futures_util::future::try_join_all(asks).await?;
    assert_eq!(replies, (0..10).collect::<Vec<_>>());
    Ok(())
}

/// Hands what it is asked on to another, with the way back.
#[derive(Actor)]
struct Desk {
    clerk: Addr<Clerk>,
}

#[derive(Message)]
#[message(reply = String)]
struct Question(&'static str);

#[handlers]
impl Desk {
    #[handle(defer)]
    fn question(&mut self, question: Question, reply: Reply<Question>) {
        self.clerk.try_tell(Case { question, reply }).expect("there is room");
    }
}

#[derive(Actor, Default)]
struct Clerk {
    kept: Vec<Reply<Question>>,
}

#[derive(Message)]
struct Case {
    question: Question,
    reply: Reply<Question>,
}

#[handlers]
impl Clerk {
    #[handle]
    fn case(&mut self, Case { question: Question(text), reply }: Case) {
        match text {
            "lose it" => drop(reply),
            "keep it" => self.kept.push(reply),
            text => reply.send(format!("{text}: yes")),
        }
    }
}

// As ractor with its reply ports: the way back can be handed on to another actor, which answers.
#[callboard::test]
async fn a_reply_can_be_handed_on(system: System) -> callboard::Result<()> {
    let clerk = system.spawn(Clerk::default)?;
    let desk = system.spawn(move || Desk { clerk: clerk.clone() })?;
    assert_eq!(desk.ask(Question("open?")).await?, "open?: yes");
    Ok(())
}

// As ractor: an answer that is dropped is an error for the asker, at once.
#[callboard::test]
async fn a_dropped_reply_is_an_error_at_once(system: System) -> callboard::Result<()> {
    let clerk = system.spawn(Clerk::default)?;
    let desk = system.spawn(move || Desk { clerk: clerk.clone() })?;
    let before = Instant::now();
    assert_eq!(kind(desk.ask(Question("lose it")).await), FailureKind::Unanswered);
    assert!(before.elapsed() < ms(10));
    Ok(())
}

// As ractor: an answer that does not come ends at the limit of the call, and others are answered.
#[callboard::test]
async fn a_reply_that_does_not_come_ends_at_the_limit(system: System) -> callboard::Result<()> {
    let clerk = system.spawn(Clerk::default)?;
    let desk = system.spawn(move || Desk { clerk: clerk.clone() })?;
    let (kept, answered) = tokio::join!(
        desk.ask(Question("keep it")).timeout(Duration::from_secs(5)),
        desk.ask(Question("open?"))
    );
    assert!(matches!(kind(kept), FailureKind::DeadlinePassed { .. }));
    assert_eq!(answered?, "open?: yes");
    Ok(())
}

// Other than ractor, where an actor ends with a panic in a handler and its supervisor is told: the
// actor is built again behind its address, as often as its settings allow.
#[callboard::test]
async fn a_panic_in_a_handler_does_not_end_the_actor(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker::<Plain>(&diary))?;
    addr.ask(Add(5)).await?;
    assert_eq!(kind(addr.ask(Burst).await), FailureKind::Panicked);
    assert_eq!(addr.ask(Add(1)).await?, 1, "built anew");
    assert_eq!(diary.count("started"), 2);
    assert_eq!(diary.lines().last().map(String::as_str), Some("started"), "no farewell: it failed");
    Ok(())
}

// As ractor, for an actor that is not to be built again: a panic ends it, with the reason.
#[callboard::test]
async fn a_panic_ends_an_actor_that_is_not_restarted(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Never>(&Diary::default()))?;
    assert_eq!(kind(addr.ask(Burst).await), FailureKind::Panicked);
    let StopReason::Failed(reason) = addr.stopped().await? else { panic!("it failed") };
    assert_eq!(reason, "panicked: burst");
    Ok(())
}

// Other than ractor, where an error that a handler returns ends the actor: it is an answer, and the
// actor and its state stay.
#[callboard::test]
async fn an_error_of_a_handler_is_an_answer(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Plain>(&Diary::default()))?;
    addr.ask(Add(5)).await?;
    assert!(matches!(addr.ask(Refuse).await, Err(AskError::Rejected(super::Refused))));
    assert_eq!(addr.ask(Add(1)).await?, 6);
    Ok(())
}

// As ractor: a panic in the `stopped` hook does not keep the actor from ending. Other than there it
// is not an end by failure: the log has it.
#[callboard::test]
async fn a_panic_in_the_stopped_hook_does_not_hold_up_the_end(
    system: System,
) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn(worker_that::<Plain>(&diary, Start::Succeeds, Farewell::Panics))?;
    addr.started().await?;
    addr.stop()?;
    assert_eq!(addr.stopped().await?, StopReason::Requested);
    assert_eq!(diary.lines(), ["started"], "it is not built again for that");
    Ok(())
}

// As ractor: an actor that fails does not touch others.
#[callboard::test]
async fn an_actor_that_fails_does_not_touch_others(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let (one, two) =
        (system.spawn(worker::<Never>(&diary))?, system.spawn(worker::<Never>(&diary))?);
    two.ask(Add(5)).await?;
    assert_eq!(kind(one.ask(Burst).await), FailureKind::Panicked);
    one.stopped().await?;
    assert_eq!(two.ask(Add(1)).await?, 6);
    Ok(())
}

// As ractor's factory that discards the newest: a full mailbox gives the message back.
#[callboard::test]
async fn a_full_mailbox_gives_the_newest_back(system: System) -> callboard::Result<()> {
    let addr = system.spawn(worker::<Narrow>(&Diary::default()))?;
    addr.tell(Rest(ms(100))).await?;
    settle_into_rest().await;
    for n in 0..4 {
        addr.try_tell(Note(n)).expect("room for four");
    }
    let refused = addr.try_tell(Note(4)).expect_err("it is full");
    assert!(matches!(refused.failure().kind(), FailureKind::MailboxFull { .. }));
    assert_eq!((refused.delivery(), refused.into_message().0), (Delivery::NotDelivered, 4));
    Ok(())
}

/// Keeps the newest two.
#[derive(Actor)]
#[actor(mailbox(capacity = 2, overflow = "drop_oldest"))]
struct Ticker {
    diary: Diary,
}

#[handlers]
impl Ticker {
    #[handle]
    async fn rest(&mut self, Rest(time): Rest) {
        tokio::time::sleep(time).await;
    }

    #[handle]
    fn note(&mut self, Note(n): Note) {
        self.diary.note(format!("note {n}"));
    }

    #[handle]
    fn add(&mut self, Add(n): Add) -> u64 {
        n
    }
}

// As ractor's factory that discards the oldest: the newest are kept. Who asked is told.
#[callboard::test]
async fn a_full_mailbox_may_drop_the_oldest(system: System) -> callboard::Result<()> {
    let diary = Diary::default();
    let addr = system.spawn({
        let diary = diary.clone();
        move || Ticker { diary: diary.clone() }
    })?;
    addr.tell(Rest(ms(100))).await?;
    settle_into_rest().await;
    let (asked, ()) = tokio::join!(addr.ask(Add(1)), async {
        tokio::task::yield_now().await;
        for n in 0..4 {
            addr.try_tell(Note(n)).expect("the oldest makes room");
        }
    });
    assert!(matches!(kind(asked), FailureKind::MailboxFull { .. }));
    settle().await;
    assert_eq!(diary.lines(), ["note 2", "note 3"]);
    Ok(())
}

/// Until the actor has taken its `Rest` out of the mailbox.
async fn settle_into_rest() {
    tokio::time::sleep(ms(1)).await;
}
