//! How the figures are shown.

use std::fmt::{self, Write as _};

use super::{
    change, demands, learn, options::Options, propagation::Propagation, registration, resolve,
    sheet::Sheet,
};
use crate::{figures::shown, table::Table};

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    /// Nanoseconds of a resolve.
    pub resolve: Sheet,
    /// Changes a second while it was resolved beside them, of the slowest writer.
    pub changes: Option<f64>,
    /// From one node to another.
    pub propagation: Propagation,
    /// Into the directory.
    pub registration: Sheet,
    /// A node that joins.
    pub learn: Sheet,
    /// Many changes at once.
    pub change: Sheet,
}

impl Default for Measured {
    fn default() -> Self {
        Self {
            resolve: Sheet::new("ns per resolve", resolve::COLUMNS),
            changes: None,
            propagation: Propagation::default(),
            registration: Sheet::new("registration", registration::COLUMNS),
            learn: Sheet::new("a node learns", learn::COLUMNS),
            change: Sheet::new("changes at once", change::COLUMNS),
        }
    }
}

/// The report of a run.
///
/// # Errors
/// None that a string could have.
pub fn report(options: &Options, measured: &Measured) -> Result<String, fmt::Error> {
    let mut report = String::new();
    if options.wants("resolve") {
        let of = &measured.resolve;
        let ranges = |line: &str| ratio(of, line, resolve::RANGE, 0);
        writeln!(report, "{}\n{}", of.medians("look-ups in a range", ranges), of.ranges())?;
    }
    if options.wants("propagation") {
        writeln!(report, "{}", latencies(&measured.propagation))?;
    }
    for (row, sheet, last, (over, under)) in [
        (
            "registration",
            &measured.registration,
            "part of bare",
            (registration::RATE, registration::BARE),
        ),
        ("change", &measured.change, "times the limit", (change::SHOWN, change::BARE)),
    ] {
        if options.wants(row) {
            let medians = sheet.medians(last, |line| ratio(sheet, line, over, under));
            writeln!(report, "{medians}\n{}", sheet.ranges())?;
        }
    }
    if options.wants("learn") {
        let of = &measured.learn;
        let limit = |line: &str| {
            let (how, shape) = line.split_once(", ")?;
            let limit = of.titles().find(|other| {
                other.starts_with("limit") && other.ends_with(shape) && !how.starts_with("limit")
            })?;
            Some(of.median(line, 0)? / of.median(limit, 0)?)
        };
        writeln!(report, "{}\n{}", of.medians("times the limit", limit), of.ranges())?;
    }
    let verdicts = demands::verdicts(&measured.resolve, &measured.propagation, resolve::RANGE);
    writeln!(report, "{verdicts}")?;
    writeln!(report, "Medians of {} rounds.{}", options.rounds, pace(measured.changes))?;
    Ok(report)
}

fn pace(changes: Option<f64>) -> String {
    changes.map_or_else(String::new, |changes| {
        format!(" Beside changes: {changes:.0} a second or more, 50 in a transaction.")
    })
}

fn ratio(sheet: &Sheet, line: &str, over: usize, under: usize) -> Option<f64> {
    Some(sheet.median(line, over)? / sheet.median(line, under)?)
}

fn latencies(propagation: &Propagation) -> Table {
    let mut table =
        Table::new(["us from a change to its event", "p50", "p99", "longest", "changes"]);
    for line in &propagation.lines {
        let [p50, p99, longest] = [50, 99, 100].map(|percent| shown(line.percentile(percent)));
        table.push(vec![line.title.clone(), p50, p99, longest, line.count().to_string()]);
    }
    table
}
