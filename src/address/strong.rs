use std::{ops::Deref, sync::Arc};

use crate::actor::{Shared, StopReason};

/// A reference that keeps an actor alive which stops with its last address.
///
/// For all other actors it is an `Arc` and no more.
pub(super) struct Strong<I: Send + 'static>(Arc<Shared<I>>);

impl<I: Send + 'static> Strong<I> {
    #[inline]
    pub(super) fn new(shared: Arc<Shared<I>>) -> Self {
        shared.references().add();
        Self(shared)
    }

    /// Nothing when the last strong reference is gone.
    pub(super) fn try_new(shared: Arc<Shared<I>>) -> Option<Self> {
        shared.references().try_add().then(|| Self(shared))
    }
}

impl<I: Send + 'static> Clone for Strong<I> {
    #[inline]
    fn clone(&self) -> Self {
        Self::new(self.0.clone())
    }
}

impl<I: Send + 'static> Drop for Strong<I> {
    #[inline]
    fn drop(&mut self) {
        if self.0.references().remove() {
            self.0.request_stop(StopReason::Unreferenced, None);
        }
    }
}

impl<I: Send + 'static> Deref for Strong<I> {
    type Target = Arc<Shared<I>>;

    #[inline]
    fn deref(&self) -> &Arc<Shared<I>> {
        &self.0
    }
}
