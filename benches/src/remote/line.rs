//! The lines of the tables: callboard's rows, each with the limit that it is measured against and with
//! what other frameworks have for it.

use super::{
    pair::Which,
    peers::{PEERS, Peer},
};

/// One line of the tables.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Its own name.
    pub key: &'static str,
    /// The row it belongs to, for `--rows`.
    pub row: &'static str,
    /// As the table names it.
    pub title: &'static str,
    /// The line that is its limit.
    pub limit: Option<&'static str>,
    /// How many messages a sample has.
    pub messages: u64,
    /// What is done.
    pub work: Work,
}

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Callboard's tells, awaited.
    Tell(Which),
    /// Callboard's tells, buffered.
    Buffered(Which),
    /// The bare loop with callboard's frames.
    BareSame,
    /// The bare loop with full frames.
    BareFull,
    /// Redis's own tool.
    Xadd,
    /// Callboard's asks, many at once.
    Asks,
    /// Callboard's asks, one at a time.
    Ask,
    /// Blocking sockets.
    Sockets,
    /// A peer's tells, on so many threads.
    PeerTell(usize, usize),
    /// A peer's asks, on so many threads, so many at once.
    PeerAsk(usize, usize, u64),
    /// A peer has no such thing.
    Missing(usize),
}

/// The rows that there are.
pub const ROWS: [&str; 7] = ["tell", "buffered", "full", "xadd", "asks", "ask", "many"];
/// Asks under way at once.
pub const IN_FLIGHT: u64 = 64;

const TELL: Line = Line {
    key: "tell",
    row: "tell",
    title: "durable tells, 1024 outstanding",
    limit: Some("bare-tell"),
    messages: 600_000,
    work: Work::Tell(Which::One),
};

/// All lines in order. A limit comes right after what it limits, so that both see the same machine; then
/// the peers.
pub const LINES: [Line; 20] = [
    TELL,
    Line {
        key: "bare-tell",
        title: "limit: bare loop, same frames",
        limit: None,
        messages: 1_500_000,
        work: Work::BareSame,
        ..TELL
    },
    peer_tells("tell-ractor", "ractor_cluster: casts", (0, 2), 300_000),
    peer_tells("tell-kameo", "kameo remote: tells, 1024 outstanding", (1, 2), 50_000),
    peer_tells("tell-telepathy", "actix-telepathy: sends", (2, 1), 300_000),
    Line {
        key: "buffered",
        row: "buffered",
        title: "durable tells, buffered",
        limit: Some("bare-buffered"),
        work: Work::Buffered(Which::One),
        ..TELL
    },
    Line {
        key: "bare-buffered",
        row: "buffered",
        title: "limit: bare loop, same frames (buffered)",
        limit: None,
        messages: 1_500_000,
        work: Work::BareSame,
    },
    Line {
        key: "full",
        row: "full",
        title: "bare loop, full frames",
        limit: None,
        messages: 3_000_000,
        work: Work::BareFull,
    },
    Line {
        key: "xadd",
        row: "xadd",
        title: "redis-benchmark XADD, 1024 outstanding",
        limit: None,
        messages: 1_000_000,
        work: Work::Xadd,
    },
    Line {
        key: "asks",
        row: "asks",
        title: "64 asks in flight",
        limit: None,
        messages: 64_000,
        work: Work::Asks,
    },
    peer_asks("asks-ractor", "ractor_cluster: 64 calls in flight", (0, 1), 64_000),
    peer_asks("asks-kameo", "kameo remote: 64 asks in flight", (1, 2), 32_000),
    no_asks("asks-telepathy", "asks"),
    Line {
        key: "ask",
        row: "ask",
        title: "one ask at a time",
        limit: Some("sockets"),
        messages: 4_000,
        work: Work::Ask,
    },
    Line {
        key: "sockets",
        row: "ask",
        title: "limit: blocking sockets, two streams",
        limit: None,
        messages: 4_000,
        work: Work::Sockets,
    },
    peer_ask("ask-ractor", "ractor_cluster: one call at a time", (0, 1)),
    peer_ask("ask-kameo", "kameo remote: one ask at a time", (1, 1)),
    no_asks("ask-telepathy", "ask"),
    Line {
        key: "many",
        row: "many",
        title: "durable tells to 1000 services, 1024 outstanding",
        limit: None,
        messages: 300_000,
        work: Work::Tell(Which::Many),
    },
    Line {
        key: "many-buffered",
        row: "many",
        title: "durable tells to 1000 services, buffered",
        limit: None,
        messages: 300_000,
        work: Work::Buffered(Which::Many),
    },
];

/// Of a peer with the number of threads by which it is best in the row.
type OnThreads = (usize, usize);

const fn peer_tells(
    key: &'static str,
    title: &'static str,
    (peer, threads): OnThreads,
    messages: u64,
) -> Line {
    Line { key, title, limit: None, messages, work: Work::PeerTell(peer, threads), ..TELL }
}

const fn peer_asks(
    key: &'static str,
    title: &'static str,
    (peer, threads): OnThreads,
    messages: u64,
) -> Line {
    let work = Work::PeerAsk(peer, threads, IN_FLIGHT);
    Line { key, row: "asks", title, limit: None, messages, work }
}

const fn peer_ask(key: &'static str, title: &'static str, (peer, threads): OnThreads) -> Line {
    let work = Work::PeerAsk(peer, threads, 1);
    Line { key, row: "ask", title, limit: None, messages: 4_000, work }
}

const fn no_asks(key: &'static str, row: &'static str) -> Line {
    let title = "actix-telepathy: has none";
    Line { key, row, title, limit: None, messages: 0, work: Work::Missing(2) }
}

impl Line {
    /// The peer whose line it is.
    pub fn peer(&self) -> Option<&'static Peer> {
        match self.work {
            Work::PeerTell(peer, _) | Work::PeerAsk(peer, ..) | Work::Missing(peer) => {
                Some(&PEERS[peer])
            }
            _ => None,
        }
    }

    /// Threads of a peer in each process, beside the one that calls.
    pub fn threads(&self) -> usize {
        match self.work {
            Work::PeerTell(_, threads) | Work::PeerAsk(_, threads, _) => threads,
            _ => 1,
        }
    }

    /// Whether its latency is what counts, not its rate.
    pub fn is_latency(&self) -> bool {
        matches!(self.work, Work::Ask | Work::Sockets | Work::PeerAsk(_, _, 1))
    }

    /// The process of callboard's that it calls.
    pub fn which(&self) -> Which {
        match self.work {
            Work::Tell(which) | Work::Buffered(which) => which,
            _ => Which::One,
        }
    }

    /// How it is arranged; nothing of peers, which are told of as a whole.
    pub fn arranged(&self) -> Option<&'static str> {
        Some(match self.work {
            Work::Tell(Which::One) => {
                "`service.tell(m)` of 64-byte messages, 1024 awaited at a time; from the first send \
                 until the other process has handled all"
            }
            Work::Buffered(Which::One) => "the same by `.tell(m).buffered()`, one after the other",
            Work::BareSame => {
                "`append` of frames made before, with as many messages as callboard's frames had just \
                 now on average, 2 in flight; the other process reads and settles them"
            }
            Work::BareFull => {
                "the same with frames of 65 000 bytes, the largest that callboard makes"
            }
            Work::Xadd => {
                "an entry for each message, by Redis's own tool over 4 connections, 256 commands in a \
                 pipeline; nobody reads them"
            }
            Work::Asks => "64 callers ask, each one after the other",
            Work::Ask => "one caller asks, one after the other",
            Work::Sockets => {
                "XADD and XREAD BLOCK in one write, on a blocking socket in each process, one after \
                 the other"
            }
            Work::Tell(Which::Many) => {
                "to 1000 services in turn, all in one process, each with a stream and an actor"
            }
            Work::Buffered(Which::Many) => "the same by `.tell(m).buffered()`",
            Work::PeerTell(..) | Work::PeerAsk(..) | Work::Missing(_) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_a_name_of_its_own_and_a_limit_that_exists() {
        for (at, line) in LINES.iter().enumerate() {
            assert!(ROWS.contains(&line.row), "{}", line.key);
            assert!(LINES[..at].iter().all(|other| other.key != line.key), "{}", line.key);
            if let Some(limit) = line.limit {
                assert_eq!(LINES[at + 1].key, limit, "right after what it limits");
            }
        }
    }
}
