//! What can be given on the command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::row::{PEERS, ROWS, Row, TABLES, VARIANTS};

/// The options of a run.
#[derive(Debug)]
pub struct Options {
    /// Rows to run, by key; all when there is none.
    pub rows: Vec<String>,
    /// Tables to run; all when there is none.
    pub tables: Vec<String>,
    /// Peers to run, by name; all when there is none.
    pub peers: Vec<String>,
    /// How often every row is run for every peer.
    pub rounds: usize,
    /// By how much the messages of a sample are divided.
    pub divisor: u64,
    /// Where the tables are written as markdown.
    pub markdown: Option<PathBuf>,
    /// The folder into which a plot of each table is written.
    pub plots: Option<PathBuf>,
}

/// What `--help` shows.
pub const HELP: &str = "\
cargo bench --manifest-path benches/Cargo.toml --bench local -- [options]

  --table a        only this table: micro, savina
  --rows a,b       only these rows. micro: tell, tell-bounded, try-tell, ask, ask-actor, ring,
                   tell-across, tell-bounded-across, in-flight, ask-across, ask-across-loaded,
                   yield, yield-tokio, spawn. savina: ping-pong, fork-join, chameneos, big, bank
  --peers a,b      only these peers: callboard, actix, kameo, ractor, tokio
  --rounds N       rounds over all rows and peers (7)
  --quick          a tenth of the messages, 3 rounds unless --rounds says else: to see that it runs
  --markdown FILE  also write the tables to a file
  --plots DIR      also write a plot of each table into a folder: micro.svg, savina.svg

Cargo runs a benchmark in the folder of its package: paths are relative to benches.";

impl Options {
    /// Reads the command line; nothing when help was asked for.
    ///
    /// # Errors
    /// An argument that is not known, or a value that makes no sense.
    pub fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            rows: Vec::new(),
            tables: Vec::new(),
            peers: Vec::new(),
            rounds: 7,
            divisor: 1,
            markdown: None,
            plots: None,
        };
        let mut is_quick = false;
        let mut rounds = None;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rows") => {
                    options.rows = list(&mut parser, &ROWS.map(|row| row.key))?;
                }
                Long("table") => {
                    options.tables = list(&mut parser, &TABLES.map(|(name, _)| name))?;
                }
                Long("peers") => {
                    let names = PEERS.iter().chain(VARIANTS).map(|(name, _)| *name);
                    options.peers = list(&mut parser, &names.collect::<Vec<_>>())?;
                }
                Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("quick") => is_quick = true,
                Long("markdown") => options.markdown = Some(parser.value()?.into()),
                Long("plots") => options.plots = Some(parser.value()?.into()),
                // Cargo says so to every benchmark.
                Long("bench") => {}
                Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        if is_quick {
            (options.rounds, options.divisor) = (3, 10);
        }
        // In whichever order they are given.
        options.rounds = rounds.unwrap_or(options.rounds);
        Ok(Some(options))
    }

    /// Whether a row is to be run.
    pub fn wants(&self, row: &Row) -> bool {
        let table = TABLES.iter().find(|(_, kind)| *kind == row.kind);
        holds(&self.rows, row.key) && table.is_some_and(|(name, _)| holds(&self.tables, name))
    }
}

/// Reads names with commas between, each of which must be known.
pub(crate) fn list(
    parser: &mut lexopt::Parser,
    known: &[&str],
) -> Result<Vec<String>, lexopt::Error> {
    let given = parser.value()?.string()?;
    let names: Vec<String> = given.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(names),
        Some(stranger) => Err(format!("{stranger:?} is none of {}", known.join(", ")).into()),
    }
}

/// Whether a list of what to run holds a name; an empty one holds every.
pub fn holds(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|given| given == name)
}
