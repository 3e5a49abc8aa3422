use serde::Serialize;

use crate::host::HostShared;

/// A thread that hosts actors, as [`System::inspect`](crate::System::inspect) shows it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct HostReport {
    /// Its number in its system: [`ActorReport::arbiter`](super::ActorReport::arbiter).
    pub index: usize,
    /// Actors that live there or are on their way; the latter have no report yet.
    pub tenants: usize,
    /// Whether it sleeps because none of them has anything to do.
    pub parked: bool,
}

impl HostReport {
    pub(super) fn of(host: &HostShared) -> Self {
        Self { index: host.index(), tenants: host.tenants(), parked: host.is_parked() }
    }
}
