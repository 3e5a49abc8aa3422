use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// The longest delay of a message.
pub const DELAY_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The longest id in bytes.
const ID_BYTES_MAX: usize = 128;

/// Names a delayed message, so that it can be taken back: by whoever has the id, in this process or
/// another.
///
/// As text (`Display`, `FromStr`, serde) it is up to 128 letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DelayedId(Box<str>);

impl DelayedId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn new(id: &str) -> Self {
        debug_assert!(is_id(id), "ids are made here: {id:?}");
        Self(id.into())
    }
}

/// A text that is not the id of a delayed message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the id of a delayed message is 1 to {ID_BYTES_MAX} letters, digits and hyphens")]
pub struct DelayedIdError;

impl fmt::Display for DelayedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for DelayedId {
    type Err = DelayedIdError;
    fn from_str(text: &str) -> Result<Self, DelayedIdError> {
        if is_id(text) { Ok(Self(text.into())) } else { Err(DelayedIdError) }
    }
}

impl TryFrom<String> for DelayedId {
    type Error = DelayedIdError;
    fn try_from(text: String) -> Result<Self, DelayedIdError> {
        text.parse()
    }
}

impl From<DelayedId> for String {
    fn from(id: DelayedId) -> Self {
        id.0.into()
    }
}

fn is_id(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_text_and_nothing_else_is_one() {
        let id = DelayedId::new("0000000000000000000000000000002a-7");
        assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let json = serde_json::to_string(&id).expect("it is text");
        assert_eq!(serde_json::from_str::<DelayedId>(&json).expect("an id"), id);
        for bad in ["", "a b", "ä", "a:b", &"x".repeat(129)] {
            assert_eq!(bad.parse::<DelayedId>(), Err(DelayedIdError), "{bad:?}");
        }
        assert!(serde_json::from_str::<DelayedId>("\"a b\"").is_err());
    }
}
