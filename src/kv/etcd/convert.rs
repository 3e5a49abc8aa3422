//! The port's words and etcd's.

use etcd_client as etcd;

use crate::kv::{
    Compare, CompareOp, CompareTarget, KeyValue, KvError, LeaseId, Op, OpResponse, Revision, Txn,
};

/// The first key after all that start with the prefix, as etcd takes it.
pub(super) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    while let Some(last) = end.last_mut() {
        if *last < 0xff {
            *last += 1;
            return end;
        }
        end.pop();
    }
    // No end: etcd's word for that is a single zero byte.
    vec![0]
}

/// Where a range begins: at its prefix, or just behind a key. etcd knows no empty key.
pub(super) fn start_of(prefix: &str, after: Option<&str>) -> Vec<u8> {
    match after {
        Some(after) if after >= prefix => {
            let mut start = after.as_bytes().to_vec();
            start.push(0);
            start
        }
        _ if prefix.is_empty() => vec![0],
        _ => prefix.as_bytes().to_vec(),
    }
}

pub(super) fn key_value(kv: &etcd::KeyValue) -> Result<KeyValue, KvError> {
    let key = std::str::from_utf8(kv.key()).map_err(|_| {
        KvError::Refused(format!("etcd holds a key that is no text: {:?}", kv.key()))
    })?;
    Ok(KeyValue {
        key: key.to_owned(),
        value: kv.value().to_vec().into(),
        create_revision: Revision(kv.create_revision()),
        mod_revision: Revision(kv.mod_revision()),
        version: kv.version(),
        lease: (kv.lease() != 0).then(|| LeaseId(kv.lease())),
    })
}

pub(super) fn txn(txn: &Txn) -> etcd::Txn {
    etcd::Txn::new()
        .when(txn.compare.iter().map(compare).collect::<Vec<_>>())
        .and_then(txn.then.iter().map(op).collect::<Vec<_>>())
        .or_else(txn.otherwise.iter().map(op).collect::<Vec<_>>())
}

fn compare(compare: &Compare) -> etcd::Compare {
    let key = compare.key.as_str();
    let op = match compare.op {
        CompareOp::Equal => etcd::CompareOp::Equal,
        CompareOp::NotEqual => etcd::CompareOp::NotEqual,
        CompareOp::Greater => etcd::CompareOp::Greater,
        CompareOp::Less => etcd::CompareOp::Less,
    };
    match &compare.target {
        CompareTarget::Version(version) => etcd::Compare::version(key, op, *version),
        CompareTarget::CreateRevision(revision) => {
            etcd::Compare::create_revision(key, op, revision.0)
        }
        CompareTarget::ModRevision(revision) => etcd::Compare::mod_revision(key, op, revision.0),
        CompareTarget::Value(value) => etcd::Compare::value(key, op, value.to_vec()),
    }
}

fn op(op: &Op) -> etcd::TxnOp {
    match op {
        Op::Put { key, value, lease } => {
            let options = lease.map(|lease| etcd::PutOptions::new().with_lease(lease.0));
            etcd::TxnOp::put(key.as_str(), value.to_vec(), options)
        }
        Op::Delete { key } => etcd::TxnOp::delete(key.as_str(), None),
        Op::Get { key } => etcd::TxnOp::get(key.as_str(), None),
    }
}

pub(super) fn response(response: &etcd::TxnOpResponse) -> Result<OpResponse, KvError> {
    Ok(match response {
        etcd::TxnOpResponse::Put(_) => OpResponse::Put,
        etcd::TxnOpResponse::Delete(response) => {
            OpResponse::Delete { deleted: u64::try_from(response.deleted()).unwrap_or(0) }
        }
        etcd::TxnOpResponse::Get(response) => {
            OpResponse::Get(response.kvs().first().map(key_value).transpose()?)
        }
        etcd::TxnOpResponse::Txn(_) => {
            return Err(KvError::Refused("etcd answered with a nested transaction".to_owned()));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(end_of("a/"), b"a0");
        assert_eq!(end_of(""), [0]);
        assert_eq!(start_of("", None), [0]);
        assert_eq!(start_of("a/", None), b"a/");
        assert_eq!(start_of("a/", Some("a/b")), b"a/b\0");
        assert_eq!(start_of("a/", Some("A")), b"a/", "a page before the range starts at the range");
    }
}
