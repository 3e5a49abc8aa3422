use tokio::time::Instant;

use super::{
    reference::Reference,
    worker::normal,
    world::{Checked, World, same, told},
};
use callboard::log::Owner;

/// What can be done to a server behind the back of its clients.
#[async_trait::async_trait(?Send)]
pub(super) trait Meddle {
    /// Leaves it without memory, or gives it back.
    async fn fill(&mut self, is_full: bool);

    /// Kills it and starts it again on what it had acknowledged.
    async fn kill(&mut self);

    /// The same, and takes away so many bytes at the end of what it had written.
    async fn cut(&mut self, bytes: u64);
}

/// What is taken away of a file at most: some calls' worth, mostly cut within one.
const CUT_BYTES_MAX: u64 = 1500;

impl World {
    pub(super) async fn fill(&mut self, is_full: bool) {
        if let Some(meddler) = &mut self.meddler {
            meddler.fill(is_full).await;
            self.is_full = is_full;
        }
    }

    pub(super) async fn meddle(&mut self) -> Checked {
        let began = Instant::now();
        match self.rng.u32(..6) {
            0 | 1 => {
                self.met("a kill");
                let Some(meddler) = &mut self.meddler else { return Ok(()) };
                meddler.kill().await;
                // Its configuration of memory is gone with it.
                self.is_full = false;
                Ok(())
            }
            2 => {
                self.met("a loss of the end");
                let bytes = self.rng.u64(1..CUT_BYTES_MAX);
                let Some(meddler) = &mut self.meddler else { return Ok(()) };
                meddler.cut(bytes).await;
                self.is_full = false;
                self.go_back(began).await
            }
            _ => {
                self.fill(true).await;
                Ok(())
            }
        }
    }

    /// The log lost its end: it must be as it was after one of the calls, none of them half done.
    async fn go_back(&mut self, began: Instant) -> Checked {
        let now = self.reference.clone();
        let mut trouble = String::new();
        while let Some(state) = self.history.pop_back() {
            self.reference = state;
            match self.is_as_recorded().await {
                Ok(()) => {
                    let long_ago = began - self.tick * 100;
                    self.reference.forget_touches(long_ago);
                    self.start_again(&now);
                    self.remember();
                    return Ok(());
                }
                Err(why) => trouble = why,
            }
        }
        Err(format!("after a loss of its end the log is as it never was: {trouble}"))
    }

    /// All that can be seen of the log.
    async fn is_as_recorded(&self) -> Checked {
        self.check().await?;
        let mut names: Vec<&str> =
            self.reference.entries.values().filter_map(|entry| entry.owner.as_deref()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let consumer = self.consumer(name);
            let pending = self.log.pending_of(&self.stream, &consumer, super::world::ALL).await;
            let ids: Vec<_> = pending.map_err(told)?.iter().map(|entry| entry.id).collect();
            same("what is pending", &ids, &self.reference.pending_of(name))?;
            let owner = Owner::Consumer(consumer);
            let recorded = self.log.recorded(&self.stream, &owner, &ids).await.map_err(told)?;
            for (id, recorded) in ids.iter().zip(&recorded) {
                let expected = Some(self.reference.entries[id].recorded());
                same("what is recorded", normal(recorded), normal(&expected))?;
            }
        }
        Ok(())
    }

    /// What was acknowledged and cut off is lost, by no fault of the log; whoever sent it goes on under
    /// a new lane, as the bus does.
    fn start_again(&mut self, before: &Reference) {
        let lost = before.stored.len() - self.reference.stored.len();
        if lost > 0 {
            self.met("messages that were lost with the end");
        }
        let stored = &self.reference.stored;
        self.acknowledged.retain(|message| stored.contains_key(message));
        for at in 0..self.producers.len() {
            self.producers[at] = self.producer();
        }
    }
}
