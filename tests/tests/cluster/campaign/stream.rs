//! The stream of a service, as Redis has it.

use std::collections::{BTreeMap, BTreeSet};

use callboard::{
    Incarnation, Message, Name,
    bus::{codec, frame::Frame, keys},
    log::{
        Accounting, Consumer, Entry, EntryId, LogError, MessageLog, Owner, Place, RedisLog,
        RedisOptions, StreamInfo, StreamName,
    },
};
use callboard_tests::jobs::Job;
use tokio::time::{Duration, Instant, sleep};

use crate::support::{Cluster, PATIENCE};

/// More than a process can hold, or dead letters than there are.
const ALL: usize = 1_000_000;

pub struct Stream {
    log: RedisLog,
    cluster: Name,
    name: StreamName,
}

impl Stream {
    pub async fn of(cluster: &Cluster, service: &str) -> Self {
        let log = RedisLog::connect(RedisOptions::new(cluster.redis.url())).await;
        let cluster = Name::new(&*cluster.name).expect("a name");
        let name = keys::service(&cluster, &Name::new(service).expect("a name"), 0);
        Self { log: log.expect("it runs"), cluster, name }
    }

    /// Asks until Redis answers, which may have been killed a moment ago.
    async fn ask<T>(&self, call: impl AsyncFn() -> Result<T, LogError>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            match call().await {
                Ok(answer) => return answer,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn info(&self) -> Option<StreamInfo> {
        self.ask(async || self.log.info(&self.name).await).await
    }

    pub async fn is_done(&self) -> bool {
        let Some(info) = self.info().await else { return false };
        let Accounting { held, delayed, .. } = info.accounting;
        info.length == 0 && held + delayed == 0
    }

    /// How many messages each entry holds that lies with this consumer, oldest first.
    pub async fn pending_of(&self, consumer: Incarnation) -> Vec<u64> {
        let frames = self.entries_of(consumer).await.1;
        let frames = frames.into_iter().map(|entry| Frame::parse(entry.frame));
        frames.map(|frame| frame.expect("a good frame").count().into()).collect()
    }

    async fn entries_of(&self, consumer: Incarnation) -> (Owner, Vec<Entry>) {
        let groups = self.info().await.map(|info| info.groups).unwrap_or_default();
        let group = groups.into_iter().next().map(|group| group.name).unwrap_or_default();
        let consumer = Consumer { group, name: consumer.to_string() };
        let pending =
            self.ask(async || self.log.pending_of(&self.name, &consumer, ALL).await).await;
        (Owner::Consumer(consumer), pending)
    }

    /// What lies with this consumer and is not recorded as done.
    pub async fn undone_of(&self, consumer: Incarnation) -> BTreeSet<u64> {
        let (owner, pending) = self.entries_of(consumer).await;
        let ids: Vec<EntryId> = pending.iter().map(|entry| entry.id).collect();
        let recorded = self.ask(async || self.log.recorded(&self.name, &owner, &ids).await).await;
        let mut undone = BTreeSet::new();
        for (entry, recorded) in pending.into_iter().zip(recorded) {
            let done = recorded.unwrap_or_default().done;
            let frame = Frame::parse(entry.frame).expect("a good frame");
            for index in (0..frame.count()).filter(|index| !done.contains(*index)) {
                undone.insert(job_of(&frame, index).id);
            }
        }
        undone
    }

    /// The dead letters: jobs and why.
    pub async fn letters(&self) -> BTreeMap<u64, String> {
        let listed =
            async || self.log.range(&self.name, Place::Dead, EntryId::MIN, EntryId::MAX, ALL).await;
        let mut letters = BTreeMap::new();
        for entry in self.ask(listed).await {
            let frame = Frame::parse(entry.frame).expect("a good frame");
            let reason = frame.letter().expect("a letter").reason.to_string();
            let twice = letters.insert(job_of(&frame, 0).id, reason);
            assert_eq!(twice, None, "one letter for each");
        }
        letters
    }

    /// Sees that the account of each stream of the cluster adds up.
    pub async fn all_add_up(&self) {
        let prefix = format!("cb:{}:", self.cluster);
        for stream in self.ask(async || self.log.streams(&prefix).await).await {
            let info = self.ask(async || self.log.info(&stream).await).await;
            let Some(StreamInfo { accounting, length, .. }) = info else { continue };
            assert!(accounting.adds_up(), "{stream}: {accounting:?}");
            if stream.is_counted() {
                let frames = accounting.frames_in - accounting.frames_out;
                assert_eq!(frames, length, "{stream}: {accounting:?}");
            }
        }
    }
}

fn job_of(frame: &Frame, index: u32) -> Job {
    let (message, body) = frame.message(index).expect("within the count");
    assert_eq!(message.name, Some(Job::NAME));
    codec::decode(message.codec, &body).expect("a good body")
}
