//! How the figures are shown.

use std::fmt::{self, Write as _};

use super::{
    demands::verdicts,
    line::{LINES, Line},
    measured::{Measured, Of},
    options::Options,
    peers::PEERS,
};
use crate::{
    figures::{Figures, shown},
    table::Table,
};

/// The tables of one setting of Redis.
///
/// # Errors
/// None that a string could have.
pub fn tables(options: &Options, fsync: &str, measured: &Measured) -> Result<String, fmt::Error> {
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
    let mut memory = Table::new(["MB after it", "caller", "callee", "Redis"]);
    for line in LINES.iter().filter(|line| options.wants(line)) {
        let none = Of::default();
        let of = measured.of(line.key).unwrap_or(&none);
        let title = || line.title.to_owned();
        medians.push(vec![
            title(),
            median(&of.rate),
            median(&of.middle),
            part(line, measured),
            median(&of.per_frame),
            median(&of.caller.micros),
            median(&of.callee.micros),
            median(&of.redis.micros),
        ]);
        ranges.push(vec![title(), range(&of.rate), range(&of.middle), range(&of.per_frame)]);
        let megabytes = [&of.caller, &of.callee, &of.redis].map(|of| median(&of.megabytes));
        memory.push(std::iter::once(title()).chain(megabytes).collect());
    }
    let mut report = String::new();
    writeln!(report, "Redis's fsync: {fsync}. Medians of {} rounds.\n", options.rounds)?;
    writeln!(report, "{medians}\n{ranges}\n{memory}")?;
    if !measured.idle.is_empty() {
        writeln!(report, "{}", measured.idle)?;
    }
    writeln!(report, "{}", verdicts(measured))?;
    Ok(report)
}

/// What the tables mean.
///
/// # Errors
/// None that a string could have.
pub fn legend(options: &Options) -> Result<String, fmt::Error> {
    let mut legend = String::from(
        "CPU is per message or ask. The part of its limit: of a rate, how much of the limit's (1 = all \
         of it); of a p50, how many times the limit's.\n\n",
    );
    for line in LINES.iter().filter(|line| options.wants(line)) {
        if let Some(arranged) = line.arranged() {
            writeln!(legend, "- {}: {arranged}.", line.title)?;
        }
    }
    for peer in PEERS.iter().filter(|peer| options.wants_peer(peer)) {
        writeln!(legend, "- {}.", peer.arranged)?;
    }
    Ok(legend)
}

fn part(line: &Line, measured: &Measured) -> String {
    let limit = line.limit.and_then(|limit| measured.figure(limit));
    match (measured.figure(line.key), limit) {
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
