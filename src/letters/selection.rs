use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{LetterSummary, LettersError, MessagePlace};
use crate::log::EntryId;

/// The most ids that a selection names.
pub const SELECTION_IDS_MAX: usize = 10_000;

/// Which dead letters or retained messages are meant. What is not said does not matter; what is said
/// must all hold.
///
/// # Examples
/// ```
/// use callboard::letters::Selection;
/// use std::time::{Duration, SystemTime};
///
/// let hour_ago = SystemTime::now() - Duration::from_secs(3600);
/// let panics = Selection::all().since(hour_ago).message("Charge").reason("panicked");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    first: EntryId,
    last: EntryId,
    after: Option<MessagePlace>,
    ids: Option<BTreeSet<EntryId>>,
    message: Option<String>,
    reason: Option<String>,
}

impl Default for Selection {
    fn default() -> Self {
        Self::all()
    }
}

impl Selection {
    /// All that lie there.
    pub fn all() -> Self {
        let (first, last) = (EntryId::MIN, EntryId::MAX);
        Self { first, last, after: None, ids: None, message: None, reason: None }
    }

    /// Those with these ids, at most [`SELECTION_IDS_MAX`].
    pub fn ids(ids: impl IntoIterator<Item = EntryId>) -> Self {
        Self { ids: Some(ids.into_iter().collect()), ..Self::all() }
    }

    /// Those that came there at this time or later: when a letter was buried, when the entry of a
    /// retained message was settled; by the log's clock.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.first = self.first.max(EntryId { ms: millis(time), seq: 0 });
        self
    }

    /// Those that came there before this time.
    pub fn before(mut self, time: SystemTime) -> Self {
        let last = EntryId { ms: millis(time).saturating_sub(1), seq: u64::MAX };
        self.last = self.last.min(last);
        self
    }

    /// Those with this id or a later one.
    pub fn from_id(mut self, id: EntryId) -> Self {
        self.first = self.first.max(id);
        self
    }

    /// Those with this id or an earlier one.
    pub fn to_id(mut self, id: EntryId) -> Self {
        self.last = self.last.min(id);
        self
    }

    /// Those that come after this one: the next page, the rest of a replay.
    pub fn after(mut self, place: impl Into<MessagePlace>) -> Self {
        self.after = Some(place.into());
        self
    }

    /// Those of the message with this wire name.
    pub fn message(mut self, name: impl Into<String>) -> Self {
        self.message = Some(name.into());
        self
    }

    /// Those whose reason holds this text. Retained messages have none.
    pub fn reason(mut self, text: impl Into<String>) -> Self {
        self.reason = Some(text.into());
        self
    }

    pub(super) fn check(&self) -> Result<(), LettersError> {
        let named = self.ids.as_ref().map_or(0, BTreeSet::len);
        if named <= SELECTION_IDS_MAX {
            return Ok(());
        }
        let reason = format!("{named} ids: name at most {SELECTION_IDS_MAX}, or a range");
        Err(LettersError::Bound { setting: "the selection", reason })
    }

    /// The first and the last id that can be meant.
    pub(super) fn bounds(&self) -> (EntryId, EntryId) {
        let mut first = self.first;
        if let Some(MessagePlace { id, index }) = self.after {
            first = first.max(if index == u32::MAX { id.next() } else { id });
        }
        (first, self.last)
    }

    /// The ids that are named, within the bounds.
    pub(super) fn named(&self) -> Option<Vec<EntryId>> {
        let (first, last) = self.bounds();
        let ids = self.ids.as_ref()?;
        if first > last {
            return Some(Vec::new());
        }
        Some(ids.range(first..=last).copied().collect())
    }

    pub(super) fn takes_letter(&self, letter: &LetterSummary) -> bool {
        let has_name = |name: &str| letter.message.as_deref() == Some(name);
        self.message.as_deref().is_none_or(has_name)
            && self.reason.as_deref().is_none_or(|text| letter.reason.contains(text))
    }

    pub(super) fn takes_message(&self, place: MessagePlace, name: &str) -> bool {
        self.reason.is_none()
            && self.after.is_none_or(|after| place > after)
            && self.message.as_deref().is_none_or(|wanted| wanted == name)
    }
}

impl From<EntryId> for Selection {
    fn from(id: EntryId) -> Self {
        Self::ids([id])
    }
}

impl From<Vec<EntryId>> for Selection {
    fn from(ids: Vec<EntryId>) -> Self {
        Self::ids(ids)
    }
}

fn millis(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn id(ms: u64) -> EntryId {
        EntryId { ms, seq: 0 }
    }

    #[test]
    fn what_is_said_twice_must_hold_twice() {
        let at = |ms| UNIX_EPOCH + Duration::from_millis(ms);
        let selection = Selection::all().since(at(5)).from_id(id(7)).before(at(20)).to_id(id(30));
        assert_eq!(selection.bounds(), (id(7), EntryId { ms: 19, seq: u64::MAX }));
        let rest = selection.clone().after(id(9)).bounds();
        assert_eq!(rest.0, EntryId { ms: 9, seq: 1 });
        let within = selection.after(MessagePlace { id: id(9), index: 3 });
        assert_eq!(within.bounds().0, id(9), "the rest of that entry is meant");
        assert!(!within.takes_message(MessagePlace { id: id(9), index: 3 }, "Add"));
        assert!(within.takes_message(MessagePlace { id: id(9), index: 4 }, "Add"));
    }

    #[test]
    fn ids_are_taken_in_order_and_within_the_bounds() {
        let selection = Selection::ids([id(5), id(1), id(3)]).from_id(id(2));
        assert_eq!(selection.named(), Some(vec![id(3), id(5)]));
        assert_eq!(selection.from_id(id(9)).to_id(id(8)).named(), Some(vec![]));
        let many = Selection::ids((0..=SELECTION_IDS_MAX as u64).map(id));
        assert!(matches!(many.check(), Err(LettersError::Bound { .. })));
    }
}
