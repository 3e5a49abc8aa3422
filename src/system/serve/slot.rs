use std::sync::Arc;

use super::served::Served;
use crate::{
    directory::MessageEntry,
    error::{Error, Result},
    id::Name,
    system::{Inner, System},
};

/// A service's place in its system.
pub(crate) enum Slot {
    /// It is being started with these messages.
    Starting(Vec<MessageEntry>),
    Served(Arc<Served>),
}

/// A name that was taken for a service that starts; free again if it does not.
pub(super) struct Reserved {
    pub(super) system: System,
    pub(super) name: Name,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut services = self.system.0.services.lock();
        if matches!(services.get(&self.name), Some(Slot::Starting(_))) {
            services.remove(&self.name);
        }
    }
}

impl Inner {
    /// Takes the name, so that two calls at once can't both serve it.
    pub(super) fn reserve(&self, name: &Name, messages: &[MessageEntry]) -> Result<()> {
        let mut services = self.services.lock();
        let Some(slot) = services.get(name) else {
            services.insert(name.clone(), Slot::Starting(messages.to_vec()));
            return Ok(());
        };
        let other = match slot {
            Slot::Starting(messages) => messages.clone(),
            Slot::Served(served) => self.node.messages_of(&served.name),
        };
        let difference = if other == messages {
            String::new()
        } else {
            format!(
                " (with other messages: it handles {}, this one {})",
                list(&other),
                list(messages)
            )
        };
        Err(Error::Serve {
            service: name.to_string(),
            reason: format!(
                "this system serves it already{difference}; use `.instances(n)` for more \
                 instances, or another name"
            ),
        })
    }
}

fn list(messages: &[MessageEntry]) -> String {
    let shown: Vec<_> =
        messages.iter().map(|entry| format!("{} v{}", entry.name, entry.version)).collect();
    if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") }
}
