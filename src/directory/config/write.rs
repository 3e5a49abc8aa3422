//! The guarded write of a version: history and current value in one transaction.

use std::time::SystemTime;

use super::{
    CONFIG_HISTORY_MAX, ConfigError,
    record::{ConfigRecord, Draft},
};
use crate::{
    directory::{Inner, store::patiently},
    id::Name,
    kv::{Compare, KeyValue, Op, OpResponse, Revision, Txn, TxnResponse},
};

/// How often a write is tried that others come before.
const ATTEMPTS: u32 = 100;
/// Old versions that one write removes at most: stores take 128 operations.
const PRUNED_MAX: usize = 100;

/// What was written; version 0 for a removal where nothing stood.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) version: u64,
    pub(super) revision: Revision,
}

/// What became of one attempt.
enum Attempt {
    Done(Written),
    /// Something else was before.
    Lost {
        /// What stands now.
        now: Option<KeyValue>,
        /// The version is in the history, though what stands did not say so.
        is_taken: bool,
    },
}

impl Inner {
    /// Writes a version after the one that stands, which has to be the expected one, if one is. A
    /// removal is a version too, so that the count goes on after it; it takes nothing from nothing.
    pub(super) async fn write_config(
        &self,
        draft: &Draft,
        expected: Option<u64>,
    ) -> Result<Written, ConfigError> {
        let current = self.keys.config(&draft.name);
        let mut there = self.read_config(&current).await?;
        let mut is_taken = false;
        for _ in 0..ATTEMPTS {
            let stands = stands(&draft.name, there.as_ref());
            check_expected(&draft.name, &stands, expected)?;
            if draft.removed && there.is_none() {
                return Ok(Written::default());
            }
            // The history says how far the count is when what stands does not, as somebody removed
            // or wrote it by hand.
            let history = match &stands {
                Ok(Some(_)) if !is_taken => Vec::new(),
                _ => self.config_versions(&draft.name).await?,
            };
            let stood = stands.ok().flatten().map_or(0, |record| record.version);
            let version = stood.max(history.last().copied().unwrap_or_default()) + 1;
            let txn = self.config_txn(draft, version, there.as_ref(), &history)?;
            let write = || self.store.txn(txn.clone());
            let response = patiently(self.options.backoff_max, write).await?;
            match outcome(draft, version, there.as_ref(), response) {
                Attempt::Done(written) => return Ok(written),
                Attempt::Lost { now, is_taken: taken } => (there, is_taken) = (now, taken),
            }
        }
        Err(ConfigError::Contended { name: draft.name.clone(), attempts: ATTEMPTS })
    }

    fn config_txn(
        &self,
        draft: &Draft,
        version: u64,
        there: Option<&KeyValue>,
        history: &[u64],
    ) -> Result<Txn, ConfigError> {
        let (keys, name) = (&self.keys, &draft.name);
        let (current, kept) = (keys.config(name), keys.config_version(name, version));
        let value = draft.record(version, SystemTime::now())?;
        let stands = match draft.removed {
            false => Op::put(&current, value.clone(), None),
            true => Op::delete(&current),
        };
        let mut ops = vec![stands, Op::put(&kept, value, None)];
        let pruned = pruned(version, history).into_iter();
        ops.extend(pruned.map(|old| Op::delete(keys.config_version(name, old))));
        let is_unchanged = match there {
            Some(kv) => Compare::unchanged_since(&current, kv.mod_revision),
            None => Compare::absent(&current),
        };
        let otherwise = [Op::get(&current), Op::get(&kept)];
        Ok(Txn::new(ops).when(is_unchanged).when(Compare::absent(kept)).otherwise(otherwise))
    }

    pub(super) async fn read_config(&self, key: &str) -> Result<Option<KeyValue>, ConfigError> {
        Ok(patiently(self.options.backoff_max, || self.store.get(key)).await?)
    }

    /// The versions that the history holds, readable or not, in their order.
    async fn config_versions(&self, name: &Name) -> Result<Vec<u64>, ConfigError> {
        let kvs = self.list_config(&self.keys.config_history(name)).await?;
        Ok(kvs.iter().filter_map(|kv| version_of(&kv.key)).collect())
    }

    pub(super) async fn list_config(&self, prefix: &str) -> Result<Vec<KeyValue>, ConfigError> {
        let page_keys = self.options.page_keys;
        let list = || self.store.list(prefix, page_keys);
        let (kvs, _) = patiently(self.options.backoff_max, list).await?;
        Ok(kvs)
    }
}

/// The record that stands; none when there is none, an error when it can't be read.
fn stands(name: &Name, there: Option<&KeyValue>) -> Result<Option<ConfigRecord>, String> {
    there.map(|kv| ConfigRecord::standing(name, &kv.value)).transpose()
}

fn check_expected(
    name: &Name,
    stands: &Result<Option<ConfigRecord>, String>,
    expected: Option<u64>,
) -> Result<(), ConfigError> {
    let Some(expected) = expected else { return Ok(()) };
    let found = match stands {
        Ok(record) => record.as_ref().map_or(0, |record| record.version),
        Err(reason) => {
            let reason = reason.clone();
            return Err(ConfigError::Unreadable { name: name.clone(), reason });
        }
    };
    if found == expected {
        return Ok(());
    }
    Err(ConfigError::Conflict { name: name.clone(), expected, found })
}

/// The version that the key of a history ends with.
pub(super) fn version_of(key: &str) -> Option<u64> {
    let (_, digits) = key.rsplit_once('/')?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // Spoilt ones count as none, so that no count can overflow.
    digits.parse().ok().filter(|version| *version < ConfigRecord::VERSION_END - 1)
}

/// The versions to remove when this one is written: the one that falls out, or of a history that was
/// listed all of those.
fn pruned(version: u64, history: &[u64]) -> Vec<u64> {
    let Some(oldest_gone) = version.checked_sub(CONFIG_HISTORY_MAX).filter(|old| *old > 0) else {
        return Vec::new();
    };
    if history.is_empty() {
        return vec![oldest_gone];
    }
    history.iter().copied().filter(|old| *old <= oldest_gone).take(PRUNED_MAX).collect()
}

/// Reads the answer to a guarded write. A write whose answer was lost and that was sent again has
/// lost to itself, and shows in the history.
fn outcome(
    draft: &Draft,
    version: u64,
    there: Option<&KeyValue>,
    response: TxnResponse,
) -> Attempt {
    if response.succeeded {
        return Attempt::Done(Written { version, revision: response.revision });
    }
    let mut found = response.responses.into_iter().map(|response| match response {
        OpResponse::Get(kv) => kv,
        OpResponse::Put | OpResponse::Delete { .. } => None,
    });
    let (current, kept) = (found.next().flatten(), found.next().flatten());
    let revision = |kv: Option<&KeyValue>| kv.map(|kv| kv.mod_revision);
    let is_unchanged = revision(current.as_ref()) == revision(there);
    match kept {
        Some(kept)
            if ConfigRecord::read(&draft.name, &kept.value)
                .is_ok_and(|record| record.is_of(draft)) =>
        {
            Attempt::Done(Written { version, revision: kept.mod_revision })
        }
        kept => Attempt::Lost { now: current, is_taken: is_unchanged && kept.is_some() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_keeps_the_last_hundred() {
        assert!(pruned(1, &[]).is_empty());
        assert!(pruned(100, &[]).is_empty());
        assert_eq!(pruned(101, &[]), [1]);
        assert_eq!(pruned(250, &[]), [150]);
        let listed: Vec<u64> = (1..=300).collect();
        assert_eq!(pruned(301, &listed), (1..=100).collect::<Vec<_>>());
        assert!(pruned(50, &[1, 2]).is_empty());
    }

    #[test]
    fn only_keys_of_twenty_digits_are_versions() {
        assert_eq!(version_of("/callboard/c/config/history/a/00000000000000000017"), Some(17));
        for bad in ["a/17", "a/+0000000000000000017", "a/x", "a/99999999999999999999", ""] {
            assert_eq!(version_of(bad), None, "{bad}");
        }
        assert_eq!(version_of(&format!("a/{:020}", u64::MAX)), None);
    }
}
