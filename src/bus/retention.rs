//! Keeping house among what is retained: what is beyond its time goes also when nothing is settled any
//! more.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{core::Core, keys, stats::add};
use crate::{
    id::Name,
    log::{EntryId, LogError, Place},
};

/// How often a process looks, on average.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How many processes of the cluster trim a service at each look, on average.
const TRIMMERS: f64 = 3.0;

/// The one task that drops what was kept for long enough, for ever.
pub(super) async fn trim_retained(core: Arc<Core>) {
    loop {
        tokio::time::sleep(LOOK_EVERY.mul_f64(0.5 + fastrand::f64())).await;
        let services = core.definitions.as_ref().and_then(|definitions| definitions.services());
        // In a large cluster not everybody does everything.
        let processes = core.members().map_or(1, |members| members.incarnations.len());
        for service in services.unwrap_or_default() {
            if fastrand::f64() * processes as f64 >= TRIMMERS {
                continue;
            }
            if let Err(error) = core.trim_service(&service).await {
                tracing::debug!(%service, %error, "what is retained was not trimmed");
            }
        }
    }
}

impl Core {
    async fn trim_service(&self, service: &Name) -> Result<(), LogError> {
        let Some(definition) = self.definition(service) else { return Ok(()) };
        // Of a service that keeps nothing any more all goes.
        let age = definition.retain.map(|retain| retain.age).unwrap_or_default();
        let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let before = self.clock.log_ms(Instant::now()).saturating_sub(age_ms);
        let stream = keys::service(&self.cluster, service, 0);
        let trim = self.log.trim(&stream, Place::Retained, EntryId { ms: before, seq: 0 });
        add(&self.counters.retained_trimmed, self.call("a trim", trim).await?);
        Ok(())
    }
}
