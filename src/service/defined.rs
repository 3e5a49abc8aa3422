use std::{sync::Arc, time::Duration};

use crate::{
    bus::{Definition, Definitions},
    directory::Directory,
    id::Name,
    log::Retain,
};

/// How services are defined, as the directory knows it.
#[derive(Debug)]
pub(crate) struct Defined(Directory);

impl Defined {
    pub(crate) fn new(directory: Directory) -> Arc<Self> {
        Arc::new(Self(directory))
    }
}

impl Definitions for Defined {
    fn definition(&self, service: &Name) -> Option<Definition> {
        let definition = self.0.definition(service)?;
        let entries_max = definition.retain_max;
        let retain = definition
            .retain_ms
            .map(|age_ms| Retain { age: Duration::from_millis(age_ms), entries_max });
        Some(Definition { retain, backlog_max: definition.backlog_max })
    }

    fn services(&self) -> Option<Vec<Name>> {
        self.0.stale_since().is_none().then(|| self.0.services())
    }
}
