use bytes::Bytes;

use super::{KeyValue, LeaseId, Revision};

/// What of a key is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompareTarget {
    /// Its version; 0 when absent.
    Version(i64),
    /// The revision that created it; 0 when absent.
    CreateRevision(Revision),
    /// The revision that last changed it; 0 when absent.
    ModRevision(Revision),
    /// Its value; false when absent.
    Value(Bytes),
}

/// How it is compared: the stored side stands on the left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// Equal.
    Equal,
    /// Not equal.
    NotEqual,
    /// The stored is greater.
    Greater,
    /// The stored is less.
    Less,
}

/// One condition of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The key.
    pub key: String,
    /// The comparison.
    pub op: CompareOp,
    /// What is compared, with the right-hand side.
    pub target: CompareTarget,
}

impl Compare {
    /// True when the key does not exist.
    pub fn absent(key: impl Into<String>) -> Self {
        Self::new(key, CompareOp::Equal, CompareTarget::Version(0))
    }

    /// True when the key exists.
    pub fn present(key: impl Into<String>) -> Self {
        Self::new(key, CompareOp::Greater, CompareTarget::Version(0))
    }

    /// True when the key was created by this revision.
    pub fn created_by(key: impl Into<String>, revision: Revision) -> Self {
        Self::new(key, CompareOp::Equal, CompareTarget::CreateRevision(revision))
    }

    /// True when the key was last changed by this revision.
    pub fn unchanged_since(key: impl Into<String>, revision: Revision) -> Self {
        Self::new(key, CompareOp::Equal, CompareTarget::ModRevision(revision))
    }

    /// True when the key exists and holds this value.
    pub fn holds(key: impl Into<String>, value: impl Into<Bytes>) -> Self {
        Self::new(key, CompareOp::Equal, CompareTarget::Value(value.into()))
    }

    /// Any comparison.
    pub fn new(key: impl Into<String>, op: CompareOp, target: CompareTarget) -> Self {
        Self { key: key.into(), op, target }
    }
}

/// One operation of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a key, under a lease or under none.
    Put {
        /// The key.
        key: String,
        /// The value.
        value: Bytes,
        /// The lease that it dies with.
        lease: Option<LeaseId>,
    },
    /// Deletes a key; nothing happens when it is absent.
    Delete {
        /// The key.
        key: String,
    },
    /// Reads a key, after the operations before it.
    Get {
        /// The key.
        key: String,
    },
}

impl Op {
    /// Writes a key.
    pub fn put(key: impl Into<String>, value: impl Into<Bytes>, lease: Option<LeaseId>) -> Self {
        Self::Put { key: key.into(), value: value.into(), lease }
    }

    /// Deletes a key.
    pub fn delete(key: impl Into<String>) -> Self {
        Self::Delete { key: key.into() }
    }

    /// Reads a key.
    pub fn get(key: impl Into<String>) -> Self {
        Self::Get { key: key.into() }
    }
}

/// A transaction: when all of `compare` hold, `then` runs, else `otherwise`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Txn {
    /// The conditions.
    pub compare: Vec<Compare>,
    /// What runs when all hold.
    pub then: Vec<Op>,
    /// What runs when one does not.
    pub otherwise: Vec<Op>,
}

impl Txn {
    /// A transaction without conditions.
    pub fn new(then: impl IntoIterator<Item = Op>) -> Self {
        Self { then: then.into_iter().collect(), ..Self::default() }
    }

    /// Adds a condition.
    #[must_use]
    pub fn when(mut self, compare: Compare) -> Self {
        self.compare.push(compare);
        self
    }

    /// Adds operations for when a condition does not hold.
    #[must_use]
    pub fn otherwise(mut self, ops: impl IntoIterator<Item = Op>) -> Self {
        self.otherwise.extend(ops);
        self
    }
}

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnResponse {
    /// Whether all conditions held.
    pub succeeded: bool,
    /// The store's revision after it.
    pub revision: Revision,
    /// One answer per operation of the branch that ran.
    pub responses: Vec<OpResponse>,
}

/// What one operation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpResponse {
    /// The key was written.
    Put,
    /// So many keys were deleted.
    Delete {
        /// 0 or 1.
        deleted: u64,
    },
    /// The key as it was found.
    Get(Option<KeyValue>),
}
