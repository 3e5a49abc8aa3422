use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join;
use tokio::time::{Instant, timeout};

use super::{
    Case, LogFactory, case, ensure, ensure_eq,
    stage::{GROUP, Stage, Verdict, consumer, ids, owner, step},
};
use crate::log::{Consumer, EntryId, Ownership, ReadGroupRequest, Start, StreamName};

pub(super) const CASES: &[Case] = &[
    case!(a_group_gives_each_entry_to_one_consumer),
    case!(read_group_makes_its_group_at_the_beginning),
    case!(ensure_group_starts_where_it_is_told),
    case!(a_blocked_read_wakes_on_append),
    case!(a_blocked_read_ends_at_its_time),
    case!(unblock_ends_a_blocked_read),
    case!(a_cancelled_read_loses_nothing),
    case!(read_from_gives_what_comes_after),
    case!(each_group_of_a_topic_gets_a_copy),
];

fn blocked(streams: &[&StreamName], consumer: &Consumer, block: Duration) -> ReadGroupRequest {
    let streams = streams.iter().map(|stream| (*stream).clone()).collect();
    ReadGroupRequest { streams, consumer: consumer.clone(), count: 10, block }
}

async fn a_group_gives_each_entry_to_one_consumer(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let mut put = Vec::new();
    for first in 1..=10 {
        put.push(stage.put(&stream, first, 1).await?);
    }
    let (a, b) = (consumer("a"), consumer("b"));
    let mut got = Vec::new();
    for (worker, count) in [(&a, 3), (&b, 2), (&a, 1), (&b, 100), (&a, 100)] {
        let entries = ids(&stage.read(&stream, worker, count).await?);
        ensure!(entries.len() <= count, "{} entries of at most {count}", entries.len());
        got.extend(entries);
    }
    ensure_eq!(got, put, "all entries, oldest first, once each");
    let pending = ids(&stage.log.pending_of(&stream, &a, 100).await?);
    ensure_eq!(pending, [&put[..3], &put[5..6]].concat(), "what is pending for the first");
    ensure_eq!(
        ids(&stage.log.pending_of(&stream, &b, 2).await?),
        put[3..5].to_vec(),
        "the oldest two that are pending for the second"
    );
    Ok(())
}

async fn read_group_makes_its_group_at_the_beginning(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let ids_put = [stage.put(&stream, 1, 1).await?, stage.put(&stream, 2, 1).await?];
    let first = ids(&stage.read(&stream, &consumer("a"), 1).await?);
    ensure_eq!(first, ids_put[..1].to_vec(), "the first read of a new group");
    for start in [Start::Beginning, Start::New] {
        stage.log.ensure_group(&stream, GROUP, start).await?;
    }
    let second = ids(&stage.read(&stream, &consumer("a"), 10).await?);
    ensure_eq!(second, ids_put[1..].to_vec(), "a read after making the group again");
    let absent = stage.service("absent");
    ensure!(
        stage.read(&absent, &consumer("a"), 1).await?.is_empty(),
        "an empty stream had entries"
    );
    let id = stage.put(&absent, 1, 1).await?;
    ensure_eq!(ids(&stage.read(&absent, &consumer("a"), 1).await?), vec![id], "its first entry");
    Ok(())
}

async fn ensure_group_starts_where_it_is_told(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let topic = stage.topic("placed");
    let put = [stage.put(&topic, 1, 1).await?, stage.put(&topic, 2, 1).await?];
    let starts = [
        ("all", Start::Beginning, 0),
        ("after", Start::After(put[0]), 1),
        ("before", Start::After(EntryId { ms: put[0].ms - 1, seq: 0 }), 0),
        ("new", Start::New, 2),
    ];
    for (group, start, _) in starts {
        stage.log.ensure_group(&topic, group, start).await?;
    }
    let all = [put[0], put[1], stage.put(&topic, 3, 1).await?];
    for (group, _, skipped) in starts {
        let reader = Consumer { group: group.into(), name: "a".into() };
        let read = ids(&stage.read(&topic, &reader, 10).await?);
        ensure_eq!(read, all[skipped..].to_vec(), "what the group {group} reads");
    }
    Ok(())
}

async fn a_blocked_read_wakes_on_append(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (orders, others, tail) =
        (stage.service("orders"), stage.service("others"), stage.topic("tail"));
    let patience = stage.timing.patience;
    let worker = consumer("a");
    for (first, stream) in [(1, &others), (1, &orders), (2, &others)] {
        let started = Instant::now();
        let read = stage.log.read_group(blocked(&[&orders, &others], &worker, patience));
        let append = async {
            stage.pass(2).await;
            stage.put(stream, first, 1).await
        };
        let (read, id) = join(read, append).await;
        let (read, id) = (read?, id?);
        ensure!(started.elapsed() < patience / 2, "the append to {stream} did not wake the read");
        ensure!(read.len() == 1 && read[0].stream == *stream, "{stream} was appended to: {read:?}");
        ensure_eq!(ids(&read[0].entries), vec![id], "the entries");
    }
    let started = Instant::now();
    let places = [(tail.clone(), EntryId::MIN)];
    let read = stage.log.read_from(&places, "tail", 10, patience);
    let append = async {
        stage.pass(2).await;
        stage.put(&tail, 1, 1).await
    };
    let (read, id) = join(read, append).await;
    ensure_eq!(ids(&read?[0].entries), vec![id?], "what a read outside groups woke up for");
    ensure!(started.elapsed() < patience / 2, "the append did not wake a read outside groups");
    Ok(())
}

async fn a_blocked_read_ends_at_its_time(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let block = stage.ticks(5);
    for _ in 0..2 {
        let started = Instant::now();
        let read = stage.log.read_group(blocked(&[&stream], &consumer("a"), block)).await?;
        ensure!(read.is_empty(), "an empty stream had {read:?}");
        // A server's timer may count whole milliseconds.
        let least = block - Duration::from_millis(2);
        ensure!(started.elapsed() >= least, "it ended after {:?}", started.elapsed());
        ensure!(started.elapsed() < stage.timing.patience, "it took {:?}", started.elapsed());
    }
    let started = Instant::now();
    stage.log.read_group(blocked(&[&stream], &consumer("a"), Duration::ZERO)).await?;
    ensure!(started.elapsed() < stage.timing.patience, "a read of no time at all waited");
    Ok(())
}

async fn unblock_ends_a_blocked_read(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (orders, others) = (stage.service("orders"), stage.service("others"));
    let patience = stage.timing.patience;
    let (a, b) = (consumer("a"), consumer("b"));
    let started = Instant::now();
    let first = stage.log.read_group(blocked(&[&orders], &a, patience));
    let second = stage.log.read_group(blocked(&[&others], &a, patience));
    let other = async {
        let least = stage.ticks(10);
        let started = Instant::now();
        let read = stage.log.read_group(blocked(&[&orders], &b, least)).await;
        read.map(|read| (read, started.elapsed() + Duration::from_millis(2) >= least))
    };
    let unblock = async {
        stage.pass(2).await;
        stage.log.unblock("a").await
    };
    let ((first, second), (other, unblocked)) =
        join(join(first, second), join(other, unblock)).await;
    unblocked?;
    let (first, second, (other, ran_to_its_end)) = (first?, second?, other?);
    ensure!(first.is_empty() && second.is_empty() && other.is_empty(), "nothing was appended");
    ensure!(started.elapsed() < patience / 2, "a blocked read of the reader was not ended");
    ensure!(ran_to_its_end, "the read of another reader was ended");

    let started = Instant::now();
    stage.log.unblock("tail").await?;
    let places = [(orders.clone(), EntryId::MIN)];
    let read = stage.log.read_from(&places, "tail", 1, patience).await?;
    ensure!(read.is_empty(), "nothing was appended");
    ensure!(started.elapsed() < patience / 2, "the call after an unblock blocked");
    let started = Instant::now();
    stage.log.read_from(&places, "tail", 1, stage.ticks(5)).await?;
    let waited = started.elapsed() + Duration::from_millis(2);
    ensure!(waited >= stage.ticks(5), "one unblock ended two calls");
    Ok(())
}

async fn a_cancelled_read_loses_nothing(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let stream = stage.service("orders");
    let (a, b) = (consumer("a"), consumer("b"));
    let mut put = BTreeSet::new();
    let mut got = BTreeSet::new();
    for first in 1..=10 {
        // Some reads are dropped while they block, others while the append wakes them.
        let read = stage.log.read_group(blocked(&[&stream], &a, stage.timing.patience));
        if first % 2 == 0 {
            let dropped = timeout(stage.ticks(1), read).await;
            got.extend(
                dropped.into_iter().flatten().flatten().flat_map(|batch| ids(&batch.entries)),
            );
            put.insert(stage.put(&stream, first, 1).await?);
        } else {
            let mut read = std::pin::pin!(timeout(stage.ticks(1), read));
            let dropped = join(read.as_mut(), stage.put(&stream, first, 1)).await;
            put.insert(dropped.1?);
            got.extend(
                dropped.0.into_iter().flatten().flatten().flat_map(|batch| ids(&batch.entries)),
            );
        }
    }
    // What was assigned to a dropped call may arrive there for a while.
    stage.pass(5).await;
    got.extend(ids(&stage.log.pending_of(&stream, &a, 100).await?));
    got.extend(ids(&stage.read(&stream, &b, 100).await?));
    ensure_eq!(got, put, "entries read, pending or still to be read");
    stage.pass(1).await;
    let pending = stage.log.pending_of(&stream, &a, 100).await?.len();
    let (claimed, _) = stage.claim(&stream, &b, Duration::ZERO).await?;
    ensure_eq!(claimed.len(), pending, "what can be claimed of the one that dropped its reads");
    Ok(())
}

async fn read_from_gives_what_comes_after(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let (tail, absent) = (stage.topic("tail"), stage.topic("absent"));
    let mut put = Vec::new();
    for first in 1..=5 {
        put.push(stage.put(&tail, first, 1).await?);
    }
    for reader in ["r1", "r2"] {
        for (after, limit, expected) in [
            (EntryId::MIN, 2, &put[..2]),
            (put[1], 10, &put[2..]),
            (EntryId { ms: put[0].ms - 1, seq: 7 }, 10, &put[..]),
            (put[4], 10, &[][..]),
        ] {
            let places = [(tail.clone(), after), (absent.clone(), EntryId::MIN)];
            let read = stage.log.read_from(&places, reader, limit, Duration::ZERO).await?;
            let read: Vec<_> = read.iter().flat_map(|batch| ids(&batch.entries)).collect();
            ensure_eq!(read, expected.to_vec(), "what {reader} reads after {after}");
        }
    }
    let places = [(absent.clone(), EntryId::MIN)];
    let read = stage.log.read_from(&places, "r1", 1, stage.ticks(2)).await?;
    ensure!(read.is_empty(), "an absent stream had {read:?}");
    ensure_eq!(stage.log.info(&absent).await?, None, "a stream that was only read");
    Ok(())
}

async fn each_group_of_a_topic_gets_a_copy(factory: &dyn LogFactory) -> Verdict {
    let stage = Stage::over(factory).await?;
    let topic = stage.topic("placed");
    let put = [stage.put(&topic, 1, 4).await?, stage.put(&topic, 5, 4).await?];
    let [one, two] = ["one", "two"].map(|group| Consumer { group: group.into(), name: "a".into() });
    for reader in [&one, &two] {
        ensure_eq!(ids(&stage.read(&topic, reader, 10).await?), put.to_vec(), "a group's copy");
    }
    let stepped = stage.progress(&topic, &owner(&one), step(put[0], 4, &[0, 1])).await?;
    ensure_eq!(stepped, Ownership::Done, "the progress of one group");
    for (reader, done) in [(&one, 2), (&two, 0)] {
        let recorded = stage.log.recorded(&topic, &owner(reader), &put).await?;
        let counts: Vec<_> =
            recorded.iter().flatten().map(|recorded| recorded.done.count()).collect();
        ensure_eq!(counts, vec![done, 0], "what is recorded for the group {}", reader.group);
    }
    // The same message of the other group is its own.
    let stepped = stage.progress(&topic, &owner(&two), step(put[0], 4, &[3])).await?;
    ensure_eq!(stepped, Ownership::Done, "the progress of the other group");
    Ok(())
}
