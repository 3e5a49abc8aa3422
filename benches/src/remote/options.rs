//! What can be given on the command line.

use std::path::PathBuf;

use lexopt::prelude::*;

use super::{
    line::{Line, ROWS},
    peers::{PEERS, Peer},
};
use crate::{
    options::{holds, list},
    servers::Persistence,
};

/// The settings of Redis's append-only file, by the name that `--fsync` takes.
const FSYNCS: [(&str, Persistence); 3] = [
    ("never", Persistence::None),
    ("everysec", Persistence::EverySecond),
    ("always", Persistence::Always),
];
/// All of them.
const ALL: &str = "all";
/// No peer.
const NONE: &str = "none";

/// The options of a run.
#[derive(Debug)]
pub struct Options {
    /// Rows to run, by key; all when there is none.
    pub rows: Vec<String>,
    /// Peers to run, by key; all when there is none.
    pub peers: Vec<String>,
    /// How often every row is run.
    pub rounds: usize,
    /// By how much the messages of a sample are divided.
    pub divisor: u64,
    /// When what Redis has stored goes to its disk, one run for each.
    pub fsyncs: Vec<(&'static str, Persistence)>,
    /// Where the tables are written as markdown.
    pub markdown: Option<PathBuf>,
}

/// What `--help` shows.
pub const HELP: &str = "\
cargo bench --manifest-path benches/Cargo.toml --bench remote -- [options]

Needs redis-server, redis-cli, redis-benchmark and etcd on the PATH, and protoc to build; starts
servers of its own. Builds the peers when they are first run, which takes some minutes.

  --rows a,b       only these rows, each with its limit and the peers: tell, buffered, full, xadd,
                   asks, ask, many
  --peers a,b      only these peers: ractor, kameo, telepathy; none for none
  --rounds N       rounds over all rows (7)
  --quick          a tenth of the messages, 3 rounds unless --rounds says else: to see that it runs
  --fsync WHEN     what Redis writes to its disk: never (default), everysec, always, or all for the
                   three, one after the other
  --markdown FILE  also write the tables to a file";

impl Options {
    /// Reads the command line; nothing when help was asked for.
    ///
    /// # Errors
    /// An argument that is not known, or a value that makes no sense.
    pub fn read() -> Result<Option<Self>, lexopt::Error> {
        let mut options = Self {
            rows: Vec::new(),
            peers: Vec::new(),
            rounds: 7,
            divisor: 1,
            fsyncs: vec![FSYNCS[0]],
            markdown: None,
        };
        let mut is_quick = false;
        let mut rounds = None;
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("rows") => options.rows = list(&mut parser, &ROWS)?,
                Long("peers") => {
                    let keys = PEERS.iter().map(|peer| peer.key).chain([NONE]);
                    options.peers = list(&mut parser, &keys.collect::<Vec<_>>())?;
                }
                Long("rounds") => rounds = Some(parser.value()?.parse::<usize>()?.max(1)),
                Long("quick") => is_quick = true,
                Long("fsync") => options.fsyncs = fsyncs(&mut parser)?,
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

    /// Whether a line is to be run.
    pub fn wants(&self, line: &Line) -> bool {
        holds(&self.rows, line.row) && line.peer().is_none_or(|peer| self.wants_peer(peer))
    }

    /// Whether a peer is to be run.
    pub fn wants_peer(&self, peer: &Peer) -> bool {
        holds(&self.peers, peer.key)
    }
}

fn fsyncs(parser: &mut lexopt::Parser) -> Result<Vec<(&'static str, Persistence)>, lexopt::Error> {
    let given = list(parser, &[FSYNCS.map(|(when, _)| when).as_slice(), &[ALL]].concat())?;
    Ok(FSYNCS.into_iter().filter(|(when, _)| given.iter().any(|g| g == when || g == ALL)).collect())
}
