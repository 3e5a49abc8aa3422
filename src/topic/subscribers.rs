use std::sync::Arc;

use parking_lot::Mutex;

use crate::{address::Recipient, message::Message};

/// Who is subscribed, in the order in which they came.
///
/// A publisher takes the list as it is; who comes or goes meanwhile changes a copy.
pub(super) struct Subscribers<M: Message>(Mutex<List<M>>);

struct List<M: Message> {
    entries: Arc<Vec<Entry<M>>>,
    last_id: u64,
}

pub(super) struct Entry<M: Message> {
    pub(super) id: u64,
    pub(super) recipient: Recipient<M>,
}

impl<M: Message> Clone for Entry<M> {
    fn clone(&self) -> Self {
        Self { id: self.id, recipient: self.recipient.clone() }
    }
}

impl<M: Message> Subscribers<M> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(List { entries: Arc::default(), last_id: 0 }))
    }

    pub(super) fn add(&self, recipient: Recipient<M>) -> u64 {
        let mut list = self.0.lock();
        list.last_id += 1;
        let id = list.last_id;
        Arc::make_mut(&mut list.entries).push(Entry { id, recipient });
        id
    }

    pub(super) fn remove(&self, id: u64) {
        let mut list = self.0.lock();
        let Ok(at) = list.entries.binary_search_by_key(&id, |entry| entry.id) else { return };
        let removed = Arc::make_mut(&mut list.entries).remove(at);
        drop(list);
        // A recipient may be anything: it is dropped outside the lock.
        drop(removed);
    }

    pub(super) fn current(&self) -> Arc<Vec<Entry<M>>> {
        self.0.lock().entries.clone()
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().entries.len()
    }
}
