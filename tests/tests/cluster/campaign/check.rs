//! What may have happened to jobs, and what did.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use callboard_tests::jobs::{Told, is_poison};

use super::stream::Stream;

/// What a campaign came to.
pub struct Verdict {
    acknowledged: usize,
    asked: (u64, u64),
    handled: usize,
    dead: usize,
    handled_twice: usize,
    undone: usize,
    /// Acknowledged, and neither handled nor dead.
    pub lost: BTreeSet<u64>,
    /// Handled more often than they were undone at the end of a process.
    doubled: BTreeMap<u64, u32>,
    /// Dead though they neither fail nor were in a process that ended.
    killed: BTreeMap<u64, String>,
    /// Handled, and never told.
    foreign: BTreeSet<u64>,
    /// Poison that was not buried.
    spared: BTreeSet<u64>,
    /// What the log counts as appended, less the jobs that there were.
    stored_twice: i64,
}

impl Verdict {
    pub async fn of(
        told: &Told,
        handled: &BTreeMap<u64, u32>,
        undone: &BTreeMap<u64, u32>,
        stream: &Stream,
    ) -> Self {
        stream.all_add_up().await;
        let letters = stream.letters().await;
        let accounting = stream.info().await.expect("it exists").accounting;
        let ended: BTreeSet<u64> = handled.keys().chain(letters.keys()).copied().collect();
        let may_be = |id: &u64| 1 + undone.get(id).copied().unwrap_or(0);
        let is_guilty = |id: &u64, why: &str| is_poison(*id) || why.contains("its process ended");
        Self {
            acknowledged: told.acknowledged.len(),
            asked: told.asked,
            handled: handled.len(),
            dead: letters.len(),
            handled_twice: handled.values().filter(|times| **times > 1).count(),
            undone: undone.len(),
            lost: told.acknowledged.difference(&ended).copied().collect(),
            doubled: handled
                .iter()
                .filter(|(id, times)| **times > may_be(id))
                .map(|(id, times)| (*id, *times))
                .collect(),
            killed: letters
                .iter()
                .filter(|(id, why)| !is_guilty(id, why))
                .map(|(id, why)| (*id, why.clone()))
                .collect(),
            foreign: ended.difference(&told.tried).copied().collect(),
            spared: told
                .acknowledged
                .iter()
                .filter(|id| is_poison(**id) && !letters.contains_key(*id))
                .copied()
                .collect(),
            stored_twice: i64::try_from(accounting.appended).expect("few")
                - i64::try_from(ended.len()).expect("few"),
        }
    }

    pub fn assert_nothing_is_wrong(&self) {
        assert!(self.acknowledged > 100 && self.asked.0 > 10, "too little load: {self}");
        assert_eq!(self.lost, BTreeSet::new(), "lost: {self}");
        assert_eq!(self.doubled, BTreeMap::new(), "handled again though it was done: {self}");
        assert_eq!(self.stored_twice, 0, "stored twice, or counted so: {self}");
        assert_eq!(self.killed, BTreeMap::new(), "buried without a reason: {self}");
        assert_eq!(self.foreign, BTreeSet::new(), "nobody told them: {self}");
        assert_eq!(self.spared, BTreeSet::new(), "they fail each time: {self}");
    }

    /// What must hold even if the log has lost its end.
    pub fn assert_the_account_adds_up(&self) {
        assert_eq!(self.foreign, BTreeSet::new(), "nobody told them: {self}");
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} asks answered and {} not; {} acknowledged, {} lost, {} handled, {} dead; {} undone at kills, {} handled twice, of \
             these {} that were not undone; appended less jobs: {}",
            self.asked.0,
            self.asked.1,
            self.acknowledged,
            self.lost.len(),
            self.handled,
            self.dead,
            self.undone,
            self.handled_twice,
            self.doubled.len(),
            self.stored_twice
        )
    }
}
