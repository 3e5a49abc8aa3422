//! The figures of all lines over the rounds.

use std::collections::HashMap;

use super::{
    line::{LINES, Line},
    many::Idle,
    sample::Sample,
    shared::usage::Usage,
};
use crate::figures::Figures;

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// The figures of one line.
#[derive(Debug, Clone, Default)]
pub struct Of {
    /// Messages or asks a second.
    pub rate: Figures,
    /// The middle one of the single latencies in microseconds.
    pub middle: Figures,
    /// Messages of a frame.
    pub per_frame: Figures,
    /// Of the process that calls.
    pub caller: Use,
    /// Of the process that is called.
    pub callee: Use,
    /// Of Redis.
    pub redis: Use,
}

/// What one process used.
#[derive(Debug, Clone, Default)]
pub struct Use {
    /// Processor time of a message in microseconds.
    pub micros: Figures,
    /// Memory that was resident after the run, in megabytes of 2^20 bytes.
    pub megabytes: Figures,
}

/// What was measured with one setting of the servers.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    lines: HashMap<&'static str, Of>,
    /// The services that nobody calls.
    pub idle: Idle,
}

impl Measured {
    /// Adds the sample of a round.
    pub fn push(&mut self, line: &Line, sample: &Sample) {
        let of = self.lines.entry(line.key).or_default();
        of.rate.push(sample.rate());
        if let Some(middle) = sample.timed.middle {
            of.middle.push(middle.as_secs_f64() * 1e6);
        }
        if let Some(per_frame) = sample.timed.per_frame {
            of.per_frame.push(per_frame);
        }
        let used = sample.used;
        for (into, used) in [
            (&mut of.caller, used.caller),
            (&mut of.callee, used.callee),
            (&mut of.redis, used.redis),
        ] {
            if let Some(used) = used {
                into.push(sample, used);
            }
        }
    }

    /// The figures of a line; none of one that was not run, or that has none.
    pub fn of(&self, key: &str) -> Option<&Of> {
        self.lines.get(key)
    }

    /// The median that a line is measured by: its latency or its rate.
    pub fn figure(&self, key: &str) -> Option<f64> {
        let line = LINES.iter().find(|line| line.key == key)?;
        let of = self.of(key)?;
        if line.is_latency() { of.middle.median() } else { of.rate.median() }
    }
}

impl Use {
    fn push(&mut self, sample: &Sample, used: Usage) {
        self.micros.push(sample.micros_each(used));
        self.megabytes.push(used.resident as f64 / MEGABYTE);
    }
}
