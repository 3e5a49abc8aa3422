use std::{collections::BTreeSet, sync::Arc};

use tokio::time::Instant;

use super::{LANES_KEPT, Sweeper};
use crate::{
    bus::{core::Core, keys, receive::Source},
    id::Incarnation,
    log::{Consumer, LogError, StreamName},
};

impl Sweeper {
    /// Removes what the gone are to the streams that live on: consumers without pending entries,
    /// groups of topics that they read alone, and their lanes.
    pub(super) async fn keep_house(&mut self, core: &Arc<Core>) -> Result<(), LogError> {
        let sources = core.sources_at_work();
        for source in sources.iter().filter(|source| source.is_shared()) {
            self.remove_consumers(core, source).await?;
        }
        self.remove_groups(core).await?;
        self.forget_lanes(core, &sources).await
    }

    async fn remove_consumers(&mut self, core: &Core, source: &Source) -> Result<(), LogError> {
        let (stream, group) = source.place();
        let look = core.call("a look", core.log.info(stream)).await?;
        let groups = look.map(|info| info.groups).unwrap_or_default();
        let Some(found) = groups.into_iter().find(|found| found.name == group) else {
            return Ok(());
        };
        for (name, pending) in found.consumers {
            let is_gone = name.parse().is_ok_and(|incarnation| self.is_gone(incarnation));
            if is_gone && pending == 0 {
                // The log looks again, in one step with the removal.
                let consumer = Consumer { group: group.to_owned(), name };
                let remove = core.log.remove_consumer(stream, &consumer);
                core.call("a removal", remove).await?;
            }
        }
        Ok(())
    }

    /// Groups by which the gone read topics for themselves: nobody will ever read for them.
    async fn remove_groups(&mut self, core: &Core) -> Result<(), LogError> {
        let prefix = keys::topics(&core.cluster);
        for topic in core.call("a list of topics", core.log.streams(&prefix)).await? {
            let look = core.call("a look", core.log.info(&topic)).await?;
            for group in look.map(|info| info.groups).unwrap_or_default() {
                let reader = group.name.split_once('/').and_then(|(reader, _)| reader.parse().ok());
                if reader.is_some_and(|incarnation: Incarnation| self.is_gone(incarnation)) {
                    let remove = core.log.remove_group(&topic, &group.name);
                    core.call("a removal", remove).await?;
                }
            }
        }
        Ok(())
    }

    /// Each process does it for the streams that it reads.
    async fn forget_lanes(&mut self, core: &Core, sources: &[Arc<Source>]) -> Result<(), LogError> {
        let gone = self.absences.gone_for(LANES_KEPT, Instant::now());
        let streams: BTreeSet<&StreamName> =
            sources.iter().map(|source| source.place().0).collect();
        for producer in gone {
            // The directory may have missed a process that lives; its replies show that it does.
            let replies = keys::replies(&core.cluster, producer);
            if core.call("a look", core.log.info(&replies)).await?.is_some() {
                continue;
            }
            for stream in &streams {
                let forget = core.log.forget_producer(stream, producer);
                core.call("forgetting lanes", forget).await?;
            }
            // Only now: a failure before that is made good by the next pass.
            self.absences.forget(producer);
        }
        Ok(())
    }
}
