//! How the figures are shown.

use std::fmt::{self, Write as _};

use super::{
    line::{LINES, Line},
    options::Options,
    sample::Sample,
};
use crate::{
    figures::{Figures, shown},
    table::Table,
};

/// The figures of one line over the rounds.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    rate: Figures,
    middle: Figures,
    per_frame: Figures,
    caller: Figures,
    callee: Figures,
    redis: Figures,
}

impl Measured {
    /// Adds the sample of a round.
    pub fn push(&mut self, sample: &Sample) {
        self.rate.push(sample.rate());
        if let Some(middle) = sample.timed.middle {
            self.middle.push(middle.as_secs_f64() * 1e6);
        }
        if let Some(per_frame) = sample.timed.per_frame {
            self.per_frame.push(per_frame);
        }
        self.caller.push(sample.micros_each(sample.cpu.caller));
        self.callee.push(sample.micros_each(sample.cpu.callee));
        self.redis.push(sample.micros_each(sample.cpu.redis));
    }

    /// What this line is measured by.
    fn figure(&self, line: &Line) -> Option<f64> {
        if line.is_latency { self.middle.median() } else { self.rate.median() }
    }
}

/// The report of a run; `measured` has a place for every line.
///
/// # Errors
/// None that a string could have.
pub fn report(
    options: &Options,
    lines: &[usize],
    measured: &[Measured],
) -> Result<String, fmt::Error> {
    let mut medians = Table::new([
        "medians",
        "a second",
        "p50 us",
        "part of its limit",
        "messages a frame",
        "us of CPU: caller",
        "callee",
        "Redis",
    ]);
    let mut ranges = Table::new(["ranges", "a second", "p50 us", "messages a frame"]);
    for (line, of) in lines.iter().map(|at| (&LINES[*at], &measured[*at])) {
        medians.push(vec![
            line.title.to_owned(),
            median(&of.rate),
            median(&of.middle),
            part(line, of, measured),
            median(&of.per_frame),
            median(&of.caller),
            median(&of.callee),
            median(&of.redis),
        ]);
        let title = line.title.to_owned();
        ranges.push(vec![title, range(&of.rate), range(&of.middle), range(&of.per_frame)]);
    }
    let mut report = String::new();
    writeln!(report, "{medians}\n{ranges}")?;
    writeln!(
        report,
        "Medians of {} rounds; Redis's fsync: {}. CPU is per message or ask. The part of its limit: \
         of a rate, how much of the limit's (1 = all of it); of a p50, how many times the limit's.\n",
        options.rounds, options.fsync
    )?;
    for line in lines.iter().map(|at| &LINES[*at]) {
        writeln!(report, "- {}: {}.", line.title, line.arranged)?;
    }
    Ok(report)
}

fn part(line: &Line, of: &Measured, measured: &[Measured]) -> String {
    let limit = line.limit.and_then(|at| measured[at].figure(line));
    match (of.figure(line), limit) {
        (Some(ours), Some(limit)) => format!("{:.3}", ours / limit),
        _ => "-".to_owned(),
    }
}

fn median(figures: &Figures) -> String {
    figures.median().map_or("-".to_owned(), shown)
}

fn range(figures: &Figures) -> String {
    let range = figures.range();
    range.map_or("-".to_owned(), |(low, high)| format!("{}..{}", shown(low), shown(high)))
}
