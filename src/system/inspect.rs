use super::System;
use crate::inspect::Inspection;

impl System {
    /// What every thread and every actor of this system is doing, and how much it has done.
    ///
    /// No actor is asked or waited for: an actor that blocks its thread is shown with the message
    /// that it handles. Costs about a microsecond per actor.
    pub fn inspect(&self) -> Inspection {
        Inspection::of(self.0.runtime.hosts())
    }
}
