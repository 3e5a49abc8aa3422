//! A process with a thousand services: what they cost while nobody calls.

use std::{fmt, time::Duration};

use super::{
    Result,
    pair::{Pair, Which},
    shared::usage::Usage,
};
use crate::{
    figures::{Figures, shown},
    table::Table,
};

/// So many services, each with a stream and an actor of its own.
pub const SERVICES: usize = 1000;
/// Until what starting them left behind has calmed down.
const CALM: Duration = Duration::from_secs(2);
/// How long is looked.
const LOOK: Duration = Duration::from_secs(4);
const MEGABYTE: f64 = 1024.0 * 1024.0;

/// What the process and Redis use while nobody calls, with one service and with many.
#[derive(Debug, Clone, Default)]
pub struct Idle {
    one: Use,
    many: Use,
}

#[derive(Debug, Clone, Default)]
struct Use {
    callee_cpu: Figures,
    redis_cpu: Figures,
    callee_bytes: Figures,
    redis_bytes: Figures,
    waiting: Figures,
}

impl Idle {
    /// Looks at the process with one service, then at the one with many, which it starts and leaves
    /// running.
    ///
    /// # Errors
    /// When a process does not start or does not say what it uses.
    pub async fn look(&mut self, pair: &mut Pair) -> Result<()> {
        self.one.look(pair, Which::One).await?;
        pair.start_many().await?;
        self.many.look(pair, Which::Many).await
    }

    /// Whether nothing was looked at.
    pub fn is_empty(&self) -> bool {
        self.one.waiting.median().is_none()
    }
}

impl Use {
    async fn look(&mut self, pair: &mut Pair, which: Which) -> Result<()> {
        tokio::time::sleep(CALM).await;
        let callee = pair.target(which)?.0.callee.usage().await?;
        let redis = pair.redis()?;
        tokio::time::sleep(LOOK).await;
        let callee_now = pair.target(which)?.0.callee.usage().await?;
        let redis_now = pair.redis()?;
        self.callee_cpu.push(millis_a_second(callee, callee_now));
        self.redis_cpu.push(millis_a_second(redis.usage, redis_now.usage));
        self.callee_bytes.push(callee_now.resident as f64 / MEGABYTE);
        self.redis_bytes.push(redis_now.usage.resident as f64 / MEGABYTE);
        self.waiting.push(redis_now.waiting as f64);
        Ok(())
    }

    fn medians(&self, title: &str) -> Vec<String> {
        let figures = [
            &self.waiting,
            &self.callee_cpu,
            &self.redis_cpu,
            &self.callee_bytes,
            &self.redis_bytes,
        ];
        let shown = figures.map(|figures| figures.median().map_or("-".to_owned(), shown));
        std::iter::once(title.to_owned()).chain(shown).collect()
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "while nobody calls",
            "waiting reads at Redis",
            "ms of CPU a second: callee",
            "Redis",
            "MB: callee",
            "Redis",
        ]);
        table.push(self.one.medians("a process with one service"));
        table.push(self.many.medians(&format!("and one more, with {SERVICES} services")));
        write!(f, "{table}")
    }
}

fn millis_a_second(earlier: Usage, now: Usage) -> f64 {
    now.cpu.saturating_sub(earlier.cpu).as_secs_f64() * 1e3 / LOOK.as_secs_f64()
}
