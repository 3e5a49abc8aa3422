use std::fmt;

use super::Message;

/// Shows a concrete message: with both traits in scope, `(&Shown(&message)).show(f)` finds
/// [`ViaDebug`] first and [`ViaName`] otherwise.
pub struct Shown<'a, M>(pub &'a M);

impl<M> fmt::Debug for Shown<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

/// The message has a `Debug` of its own.
pub trait ViaDebug {
    /// Shows it.
    ///
    /// # Errors
    /// Those of the formatter.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<M: fmt::Debug> ViaDebug for Shown<'_, M> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

/// The message has none.
pub trait ViaName {
    /// Names it.
    ///
    /// # Errors
    /// Those of the formatter.
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl<M: Message> ViaName for &Shown<'_, M> {
    fn show(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(M::NAME)
    }
}
