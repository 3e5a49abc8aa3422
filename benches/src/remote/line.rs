//! The lines of the table: callboard's rows, each with the limit that it is measured against.

use super::{Result, pair::Pair, sample::Sample, work};

/// One line of the table.
#[derive(Debug)]
pub struct Line {
    /// The row it belongs to, for `--rows`.
    pub row: &'static str,
    /// As the table names it.
    pub title: &'static str,
    /// The line that is its limit, by its place.
    pub limit: Option<usize>,
    /// Whether its latency is what counts, not its rate.
    pub is_latency: bool,
    /// How it is arranged.
    pub arranged: &'static str,
    messages: u64,
    work: Work,
}

#[derive(Debug, Clone, Copy)]
enum Work {
    Tell,
    Buffered,
    BareSame,
    BareFull,
    Asks,
    Ask,
    Sockets,
}

/// The rows that there are.
pub const ROWS: [&str; 5] = ["tell", "buffered", "full", "asks", "ask"];

const fn line(row: &'static str, messages: u64, work: Work, title: &'static str) -> Line {
    let is_latency = matches!(work, Work::Ask | Work::Sockets);
    let arranged = match work {
        Work::Tell => {
            "`service.tell(m)` of 64-byte messages, 1024 awaited at a time; from the first send until \
             the other process has handled all"
        }
        Work::Buffered => "the same by `.tell(m).buffered()`, one after the other",
        Work::BareSame => {
            "`append` of frames made before, with as many messages as callboard's frames had just now \
             on average, 2 in flight; the other process reads and settles them"
        }
        Work::BareFull => "the same with frames of 65 000 bytes, the largest that callboard makes",
        Work::Asks => "64 callers ask, each one after the other",
        Work::Ask => "one caller asks, one after the other",
        Work::Sockets => {
            "XADD and XREAD BLOCK in one write, on a blocking socket in each process, one after the \
             other"
        }
    };
    Line { row, title, limit: None, is_latency, arranged, messages, work }
}

const fn limited(mut line: Line, limit: usize) -> Line {
    line.limit = Some(limit);
    line
}

/// All lines in order. A limit comes right after what it limits, so that both see the same machine.
pub const LINES: [Line; 8] = [
    limited(line("tell", 600_000, Work::Tell, "durable tells, 1024 outstanding"), 1),
    line("tell", 1_500_000, Work::BareSame, "limit: bare loop, same frames"),
    limited(line("buffered", 600_000, Work::Buffered, "durable tells, buffered"), 3),
    line("buffered", 1_500_000, Work::BareSame, "limit: bare loop, same frames (buffered)"),
    line("full", 3_000_000, Work::BareFull, "bare loop, full frames"),
    line("asks", 64_000, Work::Asks, "64 asks in flight"),
    limited(line("ask", 4_000, Work::Ask, "one ask at a time"), 7),
    line("ask", 4_000, Work::Sockets, "limit: blocking sockets, two streams"),
];

impl Line {
    /// Runs it once, after a tenth of it as warm-up.
    ///
    /// # Errors
    /// When anything fails.
    pub async fn run(&self, pair: &mut Pair, divisor: u64) -> Result<Sample> {
        let messages = self.messages / divisor;
        self.once(pair, messages / 10).await?;
        self.once(pair, messages).await
    }

    async fn once(&self, pair: &mut Pair, messages: u64) -> Result<Sample> {
        let work = self.work;
        pair.sample(messages, async |pair| match work {
            Work::Tell => work::tell(pair, messages).await,
            Work::Buffered => work::buffered(pair, messages).await,
            Work::BareSame => work::bare_same(pair, messages).await,
            Work::BareFull => work::bare_full(pair, messages).await,
            Work::Asks => work::asks(pair, messages).await,
            Work::Ask => work::ask(pair, messages).await,
            Work::Sockets => work::sockets(pair, messages).await,
        })
        .await
    }
}
