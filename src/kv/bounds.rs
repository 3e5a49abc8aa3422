//! The bounds that every store keeps alike, so that a request is refused here before it is sent.

use std::{collections::HashSet, time::Duration};

use super::{
    KEY_BYTES_MAX, KvError, LEASE_TTL_MAX, Op, RangeRequest, Revision, TXN_OPS_MAX, Txn,
    VALUE_BYTES_MAX, WatchRequest,
};

/// Refuses an empty key and one that is too long.
pub(crate) fn check_key(key: &str) -> Result<(), KvError> {
    if key.is_empty() {
        return Err(KvError::Refused("the key is empty".to_owned()));
    }
    check_length("key", key.len(), KEY_BYTES_MAX)
}

/// Refuses a range whose prefix, start or revision can't be.
pub(crate) fn check_range(request: &RangeRequest) -> Result<(), KvError> {
    check_length("prefix", request.prefix.len(), KEY_BYTES_MAX)?;
    check_length("key", request.after.as_ref().map_or(0, String::len), KEY_BYTES_MAX)?;
    request.revision.map_or(Ok(()), check_revision)
}

/// Refuses a watch whose prefix or revision can't be.
pub(crate) fn check_watch(request: &WatchRequest) -> Result<(), KvError> {
    check_length("prefix", request.prefix.len(), KEY_BYTES_MAX)?;
    check_revision(request.from)
}

/// Refuses a revision below the first.
pub(crate) fn check_revision(revision: Revision) -> Result<(), KvError> {
    if revision.0 < 1 {
        return Err(KvError::Refused(format!("revisions count from 1, not from {revision}")));
    }
    Ok(())
}

/// Refuses a transaction that is too large or writes a key twice.
pub(crate) fn check_txn(txn: &Txn) -> Result<(), KvError> {
    check_length("list of compares", txn.compare.len(), TXN_OPS_MAX)?;
    for compare in &txn.compare {
        check_key(&compare.key)?;
    }
    check_branch(&txn.then)?;
    check_branch(&txn.otherwise)
}

fn check_branch(ops: &[Op]) -> Result<(), KvError> {
    check_length("list of operations", ops.len(), TXN_OPS_MAX)?;
    let mut written = HashSet::new();
    for op in ops {
        match op {
            Op::Get { key } => check_key(key)?,
            Op::Put { key, value, .. } => {
                check_key(key)?;
                check_length("value", value.len(), VALUE_BYTES_MAX)?;
                check_once(&mut written, key)?;
            }
            Op::Delete { key } => {
                check_key(key)?;
                check_once(&mut written, key)?;
            }
        }
    }
    Ok(())
}

fn check_once<'a>(written: &mut HashSet<&'a str>, key: &'a str) -> Result<(), KvError> {
    if written.insert(key) {
        return Ok(());
    }
    Err(KvError::Refused(format!("the transaction writes the key {key:?} twice")))
}

/// Refuses a lease of no time and one over [`LEASE_TTL_MAX`].
pub(crate) fn check_ttl(ttl: Duration) -> Result<(), KvError> {
    if ttl.is_zero() || ttl > LEASE_TTL_MAX {
        return Err(KvError::Refused(format!(
            "a lease lives for more than nothing and at most {LEASE_TTL_MAX:?}, not for {ttl:?}"
        )));
    }
    Ok(())
}

fn check_length(what: &str, length: usize, max: usize) -> Result<(), KvError> {
    if length > max {
        return Err(KvError::Refused(format!("the {what} has a length of {length}, over {max}")));
    }
    Ok(())
}
