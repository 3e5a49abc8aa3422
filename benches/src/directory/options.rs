//! What can be given on the command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use crate::options::{holds, list};

/// The rows that there are.
pub const ROWS: [&str; 5] = ["resolve", "propagation", "registration", "learn", "change"];

/// The options of a run.
#[derive(Debug)]
pub struct Options {
    /// Rows to run, by key; all when there is none.
    pub rows: Vec<String>,
    /// How often every row is run.
    pub rounds: usize,
    /// By how much the work of a sample is divided.
    pub divisor: u64,
    /// Where the tables are written as markdown.
    pub markdown: Option<PathBuf>,
}

/// What `--help` shows.
pub const HELP: &str = "\
cargo bench --manifest-path benches/Cargo.toml --bench directory -- [options]

Needs etcd on the PATH, and protoc to build; starts a server of its own.

  --rows a,b       only these rows: resolve, propagation, registration, learn, change
  --rounds N       rounds over all rows (5)
  --quick          a tenth of the work, 2 rounds unless --rounds says else: to see that it runs. What
                   the clusters hold stays as it is, except for the largest registration
  --markdown FILE  also write the tables to a file";

impl Options {
    /// Reads the command line; nothing when help was asked for.
    ///
    /// # Errors
    /// An argument that is not known, or a value that makes no sense.
    pub fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self { rows: Vec::new(), rounds: 5, divisor: 1, markdown: None };
        let mut is_quick = false;
        let mut rounds = None;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rows") => options.rows = list(&mut parser, &ROWS)?,
                Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("quick") => is_quick = true,
                Long("markdown") => options.markdown = Some(parser.value()?.into()),
                // Cargo says so to every benchmark.
                Long("bench") => {}
                Long("help") => return Ok(None),
                _ => return Err(argument.unexpected()),
            }
        }
        if is_quick {
            (options.rounds, options.divisor) = (2, 10);
        }
        // In whichever order they are given.
        options.rounds = rounds.unwrap_or(options.rounds);
        Ok(Some(options))
    }

    /// Whether a row is to be run.
    pub fn wants(&self, row: &str) -> bool {
        holds(&self.rows, row)
    }
}
