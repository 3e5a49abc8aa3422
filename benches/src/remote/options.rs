//! What can be given on the command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use super::line::ROWS;
use crate::{options::list, servers::Persistence};

/// The options of a run.
#[derive(Debug)]
pub struct Options {
    /// Rows to run, by key; all when there is none.
    pub rows: Vec<String>,
    /// How often every row is run.
    pub rounds: usize,
    /// By how much the messages of a sample are divided.
    pub divisor: u64,
    /// When what Redis has stored goes to its disk: `never`, `everysec` or `always`.
    pub fsync: String,
    /// Where the tables are written as markdown.
    pub markdown: Option<PathBuf>,
}

/// What `--help` shows.
pub const HELP: &str = "\
cargo bench --manifest-path benches/Cargo.toml --bench remote -- [options]

Needs redis-server, redis-cli and etcd on the PATH, and protoc to build; starts servers of its own.

  --rows a,b       only these rows, each with its limit: tell, buffered, full, asks, ask
  --rounds N       rounds over all rows (7)
  --quick          a tenth of the messages, 3 rounds unless --rounds says else: to see that it runs
  --fsync WHEN     what Redis writes to its disk: never (default), everysec, always
  --markdown FILE  also write the tables to a file";

impl Options {
    /// Reads the command line; nothing when help was asked for.
    ///
    /// # Errors
    /// An argument that is not known, or a value that makes no sense.
    pub fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            rows: Vec::new(),
            rounds: 7,
            divisor: 1,
            fsync: "never".to_owned(),
            markdown: None,
        };
        let mut is_quick = false;
        let mut rounds = None;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rows") => options.rows = list(&mut parser, &ROWS)?,
                Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("quick") => is_quick = true,
                Long("fsync") => options.fsync = fsync(&mut parser)?,
                Long("markdown") => options.markdown = Some(parser.value()?.into()),
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

    /// How Redis is started.
    pub fn persistence(&self) -> Persistence {
        match self.fsync.as_str() {
            "always" => Persistence::Always,
            "everysec" => Persistence::EverySecond,
            _ => Persistence::None,
        }
    }
}

fn fsync(parser: &mut lexopt::Parser) -> Result<String, lexopt::Error> {
    let mut given = list(parser, &["never", "everysec", "always"])?;
    match (given.pop(), given.is_empty()) {
        (Some(when), true) => Ok(when),
        _ => Err("--fsync takes one of never, everysec, always".into()),
    }
}
