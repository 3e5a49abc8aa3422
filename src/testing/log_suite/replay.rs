use std::time::Duration;

use super::{
    Case, LogFactory, case, ensure, ensure_eq,
    house::bury_all,
    stage::{Stage, Verdict, bytes, consumer, end, frames, ids, keep, owner},
};
use crate::log::{
    Entry, EntryId, LogError, Place, ReplayFrame, ReplayRequest, ReplayStop, Replayed, Settle,
    StreamName, Totals,
};

pub(super) const CASES: &[Case] = &[
    case!(replay_moves_dead_letters_back),
    case!(replay_copies_retained_entries),
    case!(replay_of_a_run_copies_each_part_once),
    case!(replay_moves_letters_into_another_stream_once),
    case!(replay_stops_at_the_backlog),
];

/// What each of these becomes when it is replayed: one message of another text.
fn replayed(entries: &[Entry]) -> Vec<ReplayFrame> {
    let again = |entry: &Entry| [b"again ", &entry.frame[..]].concat().into();
    let frame =
        |entry: &Entry| ReplayFrame { id: entry.id, part: 0, count: 1, frame: again(entry) };
    entries.iter().map(frame).collect()
}

pub(super) fn replay(from: Place, entries: &[Entry], limit: usize) -> ReplayRequest {
    let frames = replayed(entries);
    let (first, last) = (EntryId::MIN, EntryId::MAX);
    ReplayRequest { from, first, last, limit, into: None, run: None, backlog_max: None, frames }
}

/// Settles so many entries of one message each, kept, and gives what is retained.
async fn retain_all(
    stage: &Stage,
    stream: &StreamName,
    entries: u64,
) -> Result<Vec<Entry>, super::CaseFailure> {
    let a = consumer("a");
    for first in 1..=entries {
        let id = stage.held(stream, &a, first, 1).await?;
        let retain = Some(keep(Duration::from_secs(3600)));
        let totals = Totals { handled: 1, ..Totals::default() };
        stage.settle_as(stream, &owner(&a), Settle { retain, ..end(id, 1, totals) }).await?;
    }
    stage.list(stream, Place::Retained).await
}

async fn replay_moves_dead_letters_back(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let letters = bury_all(&stage, &stream, 1, 5).await?;
    let mut request = replay(Place::Dead, &letters, 2);
    request.first = letters[1].id;
    // The order in which they are named is not theirs.
    request.frames.reverse();
    request.frames.retain(|frame| frame.id != letters[2].id);
    let moved = stage.log.replay(&stream, request.clone()).await?;
    let expected = Replayed { messages: 2, last: Some(letters[3].id), stop: None };
    ensure_eq!(moved, expected, "the oldest two that are in the range and named");
    let moved = stage.log.replay(&stream, request.clone()).await?;
    let expected = Replayed { messages: 1, last: Some(letters[4].id), stop: None };
    ensure_eq!(moved, expected, "the last one");
    let moved = stage.log.replay(&stream, request).await?;
    ensure_eq!(moved.messages, 0, "no letter moves twice");
    let rest = ids(&stage.list(&stream, Place::Dead).await?);
    ensure_eq!(rest, vec![letters[0].id, letters[2].id], "the letters that stay");
    let expected: Vec<_> = replayed(&[letters[1].clone(), letters[3].clone(), letters[4].clone()])
        .into_iter()
        .map(|again| again.frame)
        .collect();
    let read = stage.read(&stream, &consumer("a"), 10).await?;
    ensure_eq!(frames(&read), expected, "what is read again");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.appended, counted.dead, counted.held), (8, 5, 3), "the messages");
    Ok(())
}

async fn replay_copies_retained_entries(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, a) = (stage.service("orders"), consumer("a"));
    for first in [1, 3] {
        let id = stage.held(&stream, &a, first, 2).await?;
        let retain = Some(keep(Duration::from_secs(3600)));
        let totals = Totals { handled: 2, ..Totals::default() };
        stage.settle_as(&stream, &owner(&a), Settle { retain, ..end(id, 2, totals) }).await?;
    }
    let retained = stage.list(&stream, Place::Retained).await?;
    let mut request = replay(Place::Retained, &retained, 10);
    request.frames.iter_mut().for_each(|frame| frame.count = 2);
    request.last = retained[0].id;
    let copied = stage.log.replay(&stream, request).await?;
    let expected = Replayed { messages: 2, last: Some(retained[0].id), stop: None };
    ensure_eq!(copied, expected, "what was replayed");
    ensure_eq!(stage.list(&stream, Place::Retained).await?, retained, "the retained entries");
    let read = stage.read(&stream, &a, 10).await?;
    let expected = replayed(&retained[..1])[0].frame.clone();
    ensure_eq!(frames(&read), vec![expected], "what is read again");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.appended, counted.handled, counted.held), (6, 4, 2), "the messages");
    Ok(())
}

async fn replay_of_a_run_copies_each_part_once(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let retained = retain_all(&stage, &stream, 3).await?;
    // Two parts of each.
    let part = |entry: &Entry, part: u32| {
        let frame = bytes(&format!("{} part {part}", entry.id));
        ReplayFrame { id: entry.id, part, count: 1, frame }
    };
    let parts: Vec<_> =
        retained.iter().flat_map(|entry| [part(entry, 0), part(entry, 1)]).collect();
    let request = |run: &str, frames: &[ReplayFrame], limit| ReplayRequest {
        run: Some(run.to_owned()),
        frames: frames.to_vec(),
        ..replay(Place::Retained, &[], limit)
    };
    let mut copied = Vec::new();
    // The limit ends the first step within an entry; the third says what the second did.
    for (frames, messages) in [(&parts[..4], 3), (&parts[1..5], 2), (&parts[1..5], 0), (&parts, 1)]
    {
        let step = stage.log.replay(&stream, request("one", frames, 3)).await?;
        ensure_eq!((step.messages, step.stop), (messages, None), "a step of a run");
        copied.push(step.messages);
    }
    let other = stage.log.replay(&stream, request("other", &parts[..1], 10)).await?;
    ensure_eq!(other.messages, 1, "another run");
    let read = stage.read(&stream, &consumer("a"), 100).await?;
    let expected = parts.iter().chain(&parts[..1]).map(|part| part.frame.clone());
    ensure_eq!(frames(&read), expected.collect::<Vec<_>>(), "what is read again");
    let counted = stage.check_accounting(&stream).await?.accounting;
    ensure_eq!((counted.appended, counted.held), (10, 7), "the messages");
    let bare = ReplayRequest { into: Some(stage.service("others")), ..request("one", &parts, 1) };
    let refused = stage.log.replay(&stream, bare).await;
    ensure!(matches!(refused, Err(LogError::Refused(_))), "into another stream: {refused:?}");
    Ok(())
}

async fn replay_moves_letters_into_another_stream_once(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (nodes, others, inbox) =
        (stage.service("nodes"), stage.service("others"), stage.inbox("gone"));
    let letters = bury_all(&stage, &nodes, 1, 4).await?;
    let into = |stream: &StreamName, letters: &[Entry]| ReplayRequest {
        into: Some(stream.clone()),
        ..replay(Place::Dead, letters, 2)
    };
    let gone = stage.log.replay(&nodes, into(&inbox, &letters)).await?;
    let expected = Replayed { stop: Some(ReplayStop::Gone), ..Replayed::default() };
    ensure_eq!(gone, expected, "a replay into an inbox that is not there");
    ensure_eq!(stage.log.info(&inbox).await?, None, "the inbox");
    ensure_eq!(stage.list(&nodes, Place::Dead).await?, letters, "the letters");
    stage.log.open(&inbox, None).await?;
    for (stream, letters, messages) in
        [(&inbox, &letters[..1], 1), (&others, &letters, 2), (&others, &letters, 1)]
    {
        let moved = stage.log.replay(&nodes, into(stream, letters)).await?;
        ensure_eq!((moved.messages, moved.stop), (messages, None), "letters into {stream}");
        let again = into(stream, &letters[..messages as usize]);
        ensure_eq!(stage.log.replay(&nodes, again).await?.messages, 0, "the same letters again");
    }
    ensure_eq!(stage.list(&nodes, Place::Dead).await?, vec![], "the letters that stay");
    for (stream, expected) in [(&inbox, &letters[..1]), (&others, &letters[1..])] {
        let read = stage.read(stream, &consumer("b"), 10).await?;
        let expected: Vec<_> = replayed(expected).into_iter().map(|again| again.frame).collect();
        ensure_eq!(frames(&read), expected, "what is read of {stream}");
        let counted = stage.check_accounting(stream).await?.accounting;
        let held = expected.len() as u64;
        ensure_eq!((counted.appended, counted.held), (held, held), "the messages of {stream}");
    }
    let counted = stage.check_accounting(&nodes).await?.accounting;
    ensure_eq!((counted.appended, counted.dead, counted.held), (4, 4, 0), "where they lay");
    Ok(())
}

async fn replay_stops_at_the_backlog(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (stream, others, a) = (stage.service("orders"), stage.service("others"), consumer("a"));
    let letters = bury_all(&stage, &stream, 1, 4).await?;
    stage.put(&stream, 5, 1).await?;
    let bounded =
        |into| ReplayRequest { into, backlog_max: Some(2), ..replay(Place::Dead, &letters, 10) };
    let moved = stage.log.replay(&stream, bounded(None)).await?;
    ensure_eq!((moved.messages, moved.stop), (1, Some(ReplayStop::Full)), "up to the bound");
    ensure_eq!(stage.list(&stream, Place::Dead).await?, letters[1..].to_vec(), "those that stay");
    let moved = stage.log.replay(&stream, bounded(Some(others.clone()))).await?;
    ensure_eq!((moved.messages, moved.stop), (2, Some(ReplayStop::Full)), "into another stream");
    for id in ids(&stage.read(&stream, &a, 10).await?) {
        stage.settle(&stream, &owner(&a), id, 1).await?;
    }
    let moved = stage.log.replay(&stream, bounded(None)).await?;
    ensure_eq!((moved.messages, moved.stop), (1, None), "when there is room again");
    let retained = retain_all(&stage, &stage.service("kept"), 2).await?;
    let kept = stage.service("kept");
    let request = ReplayRequest {
        run: Some("one".to_owned()),
        backlog_max: Some(1),
        ..replay(Place::Retained, &retained, 10)
    };
    let copied = stage.log.replay(&kept, request.clone()).await?;
    ensure_eq!((copied.messages, copied.stop), (1, Some(ReplayStop::Full)), "retained entries");
    for stream in [&stream, &others, &kept] {
        stage.check_accounting(stream).await?;
    }
    Ok(())
}
