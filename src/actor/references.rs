use std::sync::atomic::{AtomicU32, Ordering};

/// How many addresses refer to an actor, counted only for one that stops with the last of them.
///
/// What the framework holds of an actor for itself is no address: wakers, the actor's own cell and
/// context, what it spawned.
#[derive(Debug)]
pub(crate) struct References {
    is_counted: bool,
    count: AtomicU32,
}

impl References {
    pub(super) fn new(is_counted: bool) -> Self {
        Self { is_counted, count: AtomicU32::new(0) }
    }

    /// Notes one more.
    #[inline]
    pub(crate) fn add(&self) {
        if self.is_counted {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes one more unless the last one is gone.
    pub(crate) fn try_add(&self) -> bool {
        let one_more = |count: u32| (count > 0).then(|| count + 1);
        !self.is_counted
            || self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Notes one fewer. True when it was the last one and the actor is to stop.
    #[inline]
    #[must_use]
    pub(crate) fn remove(&self) -> bool {
        self.is_counted && self.count.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reference_is_told_apart_and_never_comes_back() {
        let references = References::new(true);
        references.add();
        assert!(references.try_add());
        assert!(!references.remove());
        assert!(references.remove());
        assert!(!references.try_add());
    }

    #[test]
    fn without_counting_no_reference_is_the_last() {
        let references = References::new(false);
        references.add();
        assert!(!references.remove());
        assert!(references.try_add());
    }
}
