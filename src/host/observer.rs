#[cfg(feature = "testing")]
use std::sync::{Arc, OnceLock};

/// Whoever is told what happens in a host: the test kit, and nobody in production.
pub(crate) trait Observer: Send + Sync {
    /// The host is about to poll a tenant of this name.
    fn polled(&self, tenant: &str);
    /// A panic of an actor was caught: in a handler, a hook, the factory or a future tied to it.
    fn panicked(&self, actor: &str, handling: &str, text: &str);
}

/// A host's observer; without the feature `testing` it is nothing and costs nothing.
#[derive(Default)]
pub(crate) struct ObserverSlot {
    #[cfg(feature = "testing")]
    observer: OnceLock<Arc<dyn Observer>>,
}

impl ObserverSlot {
    /// From here on this one is told.
    #[cfg(feature = "testing")]
    pub(crate) fn set(&self, observer: Arc<dyn Observer>) {
        let already_set = self.observer.set(observer).is_err();
        debug_assert!(!already_set, "a host has one observer");
    }

    /// Tells the observer, if there is one.
    #[inline]
    #[cfg_attr(not(feature = "testing"), allow(unused_variables, clippy::unused_self))]
    pub(crate) fn tell(&self, tell: impl FnOnce(&dyn Observer)) {
        #[cfg(feature = "testing")]
        if let Some(observer) = self.observer.get() {
            tell(&**observer);
        }
    }
}
