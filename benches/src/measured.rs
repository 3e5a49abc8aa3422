//! The figures of a run and the tables made of them.

use std::fmt::{self, Write as _};

use crate::{
    demands,
    figures::{Figures, shown},
    row::{Kind, PEERS, Row, Runner, VARIANTS},
    table::Table,
};

/// What was measured, in nanoseconds per message.
#[derive(Debug)]
pub struct Measured {
    rows: Vec<Row>,
    columns: Vec<(&'static str, Runner)>,
    /// By row and column.
    figures: Vec<Vec<Figures>>,
    rounds: usize,
}

const RATIOS: &str = "callboard's part of each (below 1 = faster)";

impl Measured {
    /// Runs some rows for some peers, which take turns, `rounds` times.
    pub fn run(
        rows: Vec<Row>,
        wants_peer: impl Fn(&str) -> bool,
        rounds: usize,
        divisor: u64,
    ) -> Self {
        let columns: Vec<_> =
            PEERS.iter().chain(VARIANTS).copied().filter(|(name, _)| wants_peer(name)).collect();
        let mut figures = vec![vec![Figures::default(); columns.len()]; rows.len()];
        for round in 0..rounds {
            for (row, figures) in rows.iter().zip(&mut figures) {
                let messages = row.messages / divisor;
                for turn in 0..columns.len() {
                    // Nobody is always the one who comes after the same other.
                    let at = (turn + round) % columns.len();
                    let (name, run) = columns[at];
                    if is_variant(name) && !row.is_latency {
                        continue;
                    }
                    if let Some(sample) = run(row, messages) {
                        figures[at].push(sample.elapsed.as_nanos() as f64 / messages as f64);
                    }
                }
            }
            eprintln!("round {} of {rounds}", round + 1);
        }
        Self { rows, columns, figures, rounds }
    }

    /// The rows of a table.
    pub fn rows(&self, kind: Kind) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.kind == kind)
    }

    /// The peers of the tables.
    pub fn peers(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|(name, _)| *name).filter(|name| !is_variant(name))
    }

    /// The median of a row for a peer.
    pub fn median(&self, row: &str, peer: &str) -> Option<f64> {
        self.figures(row, peer)?.median()
    }

    /// The tables of one kind, what the rows are, and nothing when no row was run.
    pub fn tables(&self, kind: Kind) -> Result<String, fmt::Error> {
        let mut text = String::new();
        if self.rows(kind).next().is_none() {
            return Ok(text);
        }
        let rows: Vec<&Row> = self.rows(kind).collect();
        let peers: Vec<_> = self.peers().collect();
        writeln!(text, "{}", self.medians(&rows, &peers))?;
        writeln!(text, "{}", self.ranges(&rows, &peers))?;
        let variants: Vec<_> =
            VARIANTS.iter().map(|(name, _)| *name).filter(|name| self.ran(name)).collect();
        let rows: Vec<&Row> = rows.into_iter().filter(|row| row.is_latency).collect();
        if !variants.is_empty() && !rows.is_empty() {
            let columns: Vec<_> =
                [PEERS[0].0].into_iter().filter(|name| self.ran(name)).chain(variants).collect();
            writeln!(text, "{}", self.medians(&rows, &columns))?;
            writeln!(text, "{}", self.ranges(&rows, &columns))?;
        }
        Ok(text)
    }

    /// How the rows are arranged, as a list.
    pub fn arrangement(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        writeln!(text, "Medians of {} rounds in which the peers took turns.", self.rounds)?;
        writeln!(text, "How the rows are arranged:\n")?;
        for row in &self.rows {
            writeln!(text, "- {}: {}.", row.title, row.arranged)?;
        }
        Ok(text)
    }

    /// Everything as markdown.
    ///
    /// # Errors
    /// Those of formatting, of which there are none.
    pub fn report(&self) -> Result<String, fmt::Error> {
        let (micro, savina) = (self.tables(Kind::Micro)?, self.tables(Kind::Savina)?);
        let verdicts = demands::verdicts(self, &self.rows);
        Ok(format!("{micro}{savina}{verdicts}\n{}", self.arrangement()?))
    }

    fn figures(&self, row: &str, peer: &str) -> Option<&Figures> {
        let row = self.rows.iter().position(|other| other.key == row)?;
        let column = self.columns.iter().position(|(name, _)| *name == peer)?;
        Some(&self.figures[row][column])
    }

    fn ran(&self, peer: &str) -> bool {
        self.columns.iter().any(|(name, _)| *name == peer)
    }

    fn medians(&self, rows: &[&Row], peers: &[&str]) -> Table {
        let header = ["ns per message, medians"].into_iter().chain(peers.iter().copied());
        let mut table = Table::new(header.chain([RATIOS]));
        for row in rows {
            let cell = |peer: &&str| self.median(row.key, peer).map_or("-".to_owned(), shown);
            let mut line = vec![row.title.to_owned()];
            line.extend(peers.iter().map(cell));
            line.push(self.ratios(row, peers));
            table.push(line);
        }
        table
    }

    fn ranges(&self, rows: &[&Row], peers: &[&str]) -> Table {
        let header = ["ns per message, ranges"].into_iter().chain(peers.iter().copied());
        let mut table = Table::new(header);
        for row in rows {
            let cell = |peer: &&str| {
                let range = self.figures(row.key, peer).and_then(Figures::range);
                let shown = |(low, high)| format!("{}..{}", shown(low), shown(high));
                range.map_or("-".to_owned(), shown)
            };
            let mut line = vec![row.title.to_owned()];
            line.extend(peers.iter().map(cell));
            table.push(line);
        }
        table
    }

    /// Callboard's median as a part of every other's.
    fn ratios(&self, row: &Row, peers: &[&str]) -> String {
        let ours = self.median(row.key, PEERS[0].0);
        let others = peers.iter().filter(|peer| **peer != PEERS[0].0);
        let ratio = |peer: &&str| match (ours, self.median(row.key, peer)) {
            (Some(ours), Some(theirs)) => format!("{:.2}", ours / theirs),
            _ => "-".to_owned(),
        };
        others.map(ratio).collect::<Vec<_>>().join(" / ")
    }
}

fn is_variant(name: &str) -> bool {
    VARIANTS.iter().any(|(variant, _)| *variant == name)
}
