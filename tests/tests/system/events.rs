//! A subscriber that keeps what is logged.

use std::{collections::BTreeMap, fmt::Debug, sync::Arc};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// An event: its level, and its fields as they are shown.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.fields.insert(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.insert(field.name(), value.to_owned());
    }
}

/// Keeps the events of a thread.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Line>>>);

impl Log {
    /// Warnings that say how long something took.
    pub(crate) fn long(&self) -> Vec<Line> {
        let lines = self.0.lock();
        let long = |line: &&Line| line.level == Level::WARN && line.fields.contains_key("took");
        lines.iter().filter(long).cloned().collect()
    }

    /// Which messages are said to have blocked this actor's thread.
    pub(crate) fn named(&self, actor: &str) -> Vec<String> {
        let long = self.long().into_iter();
        long.map(|Line { fields, .. }| {
            assert_eq!(fields["actor"], actor);
            fields["handling"].clone()
        })
        .collect()
    }

    pub(crate) fn count(&self, actor: &str, message: &str) -> usize {
        self.named(actor).iter().filter(|named| *named == message).count()
    }
}

impl Subscriber for Log {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line { level: *event.metadata().level(), fields: BTreeMap::new() };
        event.record(&mut line);
        self.0.lock().push(line);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
