//! Names and identities.
//!
//! Owns the rules for names that users choose and the identities that the framework makes.
//! Knows nothing of where they are stored.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The longest name in bytes, of anything.
pub const NAME_BYTES_MAX: usize = 128;

/// The name of a service, topic, role, node or cluster.
///
/// One letter or digit, then letters, digits, `.`, `_` and `-`, all lower case, at most
/// [`NAME_BYTES_MAX`] bytes. A name becomes part of a key in the directory and in the log, which is
/// why it holds neither slash nor brace.
///
/// # Examples
/// ```
/// use callboard::Name;
/// assert!(Name::new("orders.eu-1").is_ok());
/// assert!(Name::new("Orders/EU").is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`NameError`] says which rule the name breaks.
    pub fn new(name: impl AsRef<str>) -> Result<Self, NameError> {
        let name = name.as_ref();
        match flaw(name, |c| matches!(c, 'a'..='z' | '0'..='9')) {
            None => Ok(Self(name.into())),
            Some(flaw) => Err(NameError::new(name, flaw)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[allow(dead_code)]
/// Checks the wire name of a message: letters of both cases, digits, `.`, `_` and `-`.
///
/// # Errors
/// [`NameError`] says which rule the name breaks.
pub(crate) fn check_message_name(name: &str) -> Result<(), NameError> {
    match flaw(name, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')) {
        None => Ok(()),
        Some(flaw) => Err(NameError::new(name, flaw)),
    }
}

fn flaw(name: &str, first: impl Fn(char) -> bool) -> Option<&'static str> {
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > NAME_BYTES_MAX {
        return Some("it is longer than 128 bytes");
    }
    let mut chars = name.chars();
    if !chars.next().is_some_and(&first) {
        return Some("its first character is not allowed there");
    }
    let rest = chars.all(|c| first(c) || matches!(c, '.' | '_' | '-'));
    (!rest).then_some("it holds a character that is not allowed")
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Name {
    type Err = NameError;
    fn from_str(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(name: String) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl TryFrom<&str> for Name {
    type Error = NameError;
    fn try_from(name: &str) -> Result<Self, NameError> {
        Self::new(name)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// A name that breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the name {name} is refused: {flaw}; use a lower-case letter or digit, then letters, digits, \
     '.', '_' or '-', at most 128 bytes (message names may have upper case too)"
)]
pub struct NameError {
    /// The refused name, escaped and cut to a readable length.
    name: String,
    flaw: &'static str,
}

impl NameError {
    fn new(name: &str, flaw: &'static str) -> Self {
        let shown: String = name.chars().take(NAME_BYTES_MAX).collect();
        Self { name: format!("{shown:?}"), flaw }
    }
}

/// One life of one process in a cluster: a fresh number at each start.
///
/// Whatever a process leaves behind carries its incarnation, so that a process that was paused and
/// replaced can never pass for its successor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Incarnation(u128);

impl Incarnation {
    /// Makes a fresh one from the wall clock and 64 random bits; later ones sort after earlier ones.
    pub fn fresh() -> Self {
        let since_epoch = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |elapsed| elapsed.as_micros());
        Self((since_epoch << 64) | u128::from(fastrand::u64(..)))
    }

    /// The number as it stands in a frame.
    pub const fn to_u128(self) -> u128 {
        self.0
    }

    /// The incarnation with this number.
    pub const fn from_u128(number: u128) -> Self {
        Self(number)
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incarnation({self})")
    }
}

impl FromStr for Incarnation {
    type Err = IncarnationError;
    fn from_str(text: &str) -> Result<Self, IncarnationError> {
        if text.len() != 32 {
            return Err(IncarnationError);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| IncarnationError)
    }
}

impl TryFrom<String> for Incarnation {
    type Error = IncarnationError;
    fn try_from(text: String) -> Result<Self, IncarnationError> {
        text.parse()
    }
}

impl From<Incarnation> for String {
    fn from(incarnation: Incarnation) -> Self {
        incarnation.to_string()
    }
}

/// A text that is not an incarnation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an incarnation is 32 hexadecimal digits")]
pub struct IncarnationError;

/// An actor within its process.
///
/// Never used twice in one process, so that the address of an actor that ended can't reach another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ActorId(u64);

impl ActorId {
    /// The actor with this number.
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The number as it stands in a frame.
    pub const fn to_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for good in ["a", "0", "orders", "orders.eu-1_b", &"x".repeat(128)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".a", "-a", "A", "a b", "a/b", "a{b}", "a\nb", "ä", &"x".repeat(129)] {
            assert!(Name::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_with_control_characters_is_shown_escaped() {
        let error = Name::new("a\x1b[2Jb").expect_err("control characters are refused");
        assert!(!error.to_string().contains('\x1b'));
    }

    #[test]
    fn message_names_may_have_upper_case() {
        assert!(check_message_name("Add").is_ok());
        assert!(check_message_name("counter.get").is_ok());
        assert!(check_message_name("Add<T>").is_err());
    }

    #[test]
    fn incarnations_differ_and_survive_text() {
        let (a, b) = (Incarnation::fresh(), Incarnation::fresh());
        assert_ne!(a, b);
        assert_eq!(a.to_string().parse::<Incarnation>(), Ok(a));
        assert!("xyz".parse::<Incarnation>().is_err());
    }
}
