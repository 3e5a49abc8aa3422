//! Instructions per message of the local core and its peers:
//! `cargo bench --manifest-path benches/Cargo.toml --bench instructions`. Needs valgrind.
//!
//! The program runs itself under callgrind, twice for each row and peer, and divides the difference
//! of the two runs by that of their messages. It counts the whole process. Rows in which threads
//! wait for each other are left out: valgrind runs one thread at a time.

use std::{
    env,
    error::Error,
    fs,
    process::{self, Command, ExitCode, Stdio},
};

use callboard_benches::{
    figures::shown,
    options::{HELP, Options, holds},
    row::{PEERS, ROWS, Row},
    table::Table,
};
use tempfile::NamedTempFile;

/// The first argument when a row is run to be counted.
const COUNTED: &str = "--counted";
/// The status of a run of a row that the peer does not have.
const NO_SUCH_ROW: i32 = 3;
/// A fifth of what is timed is enough here.
const DIVISOR: u64 = 5;
/// The larger run has this many times the messages of the smaller.
const STEP: u64 = 10;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let done = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [COUNTED, row, peer, messages] => counted(row, peer, messages),
        _ => report(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a row once, under callgrind.
fn counted(row: &str, peer: &str, messages: &str) -> Outcome<()> {
    let row = ROWS.iter().find(|known| known.key == row).ok_or("no such row")?;
    let (_, run) = PEERS.iter().find(|(name, _)| *name == peer).ok_or("no such peer")?;
    if run(row, messages.parse()?).is_none() {
        process::exit(NO_SUCH_ROW);
    }
    Ok(())
}

fn report() -> Outcome<()> {
    let Some(options) = Options::read()? else {
        println!("{HELP}\n\nOnly --table, --rows, --peers and --markdown have an effect here.");
        return Ok(());
    };
    let peers: Vec<_> = PEERS
        .map(|(name, _)| name)
        .into_iter()
        .filter(|name| holds(&options.peers, name))
        .collect();
    let header = ["instructions per message"].into_iter().chain(peers.iter().copied());
    let mut table = Table::new(header.chain(["callboard's part of actix's"]));
    for row in ROWS.iter().filter(|row| row.is_countable && options.wants(row)) {
        eprintln!("{}", row.title);
        let counts: Vec<_> =
            peers.iter().map(|peer| per_message(row, peer)).collect::<Outcome<_>>()?;
        let of = |name| peers.iter().position(|peer| *peer == name).and_then(|at| counts[at]);
        let ratio = match (of(PEERS[0].0), of(PEERS[1].0)) {
            (Some(ours), Some(theirs)) => format!("{:.2}", ours / theirs),
            _ => "-".to_owned(),
        };
        let cells = counts.iter().map(|count| count.map_or("-".to_owned(), shown));
        table.push([row.title.to_owned()].into_iter().chain(cells).chain([ratio]).collect());
    }
    println!("{table}");
    if let Some(path) = options.markdown {
        fs::write(path, table.to_string())?;
    }
    Ok(())
}

/// Nothing when the peer has no such row.
fn per_message(row: &Row, peer: &str) -> Outcome<Option<f64>> {
    let many = row.messages / DIVISOR;
    let few = many / STEP;
    let (Some(less), Some(more)) = (count(row, peer, few)?, count(row, peer, many)?) else {
        return Ok(None);
    };
    let difference = more.checked_sub(less).ok_or("more messages took fewer instructions")?;
    // With the warm-up, of a tenth.
    let messages = (many - few) as f64 * 1.1;
    Ok(Some(difference as f64 / messages))
}

/// Instructions of a whole run; nothing when the peer has no such row.
fn count(row: &Row, peer: &str, messages: u64) -> Outcome<Option<u64>> {
    let written = NamedTempFile::new()?;
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--quiet"])
        .arg(format!("--callgrind-out-file={}", written.path().display()))
        .arg(env::current_exe()?)
        .args([COUNTED, row.key, peer, &messages.to_string()])
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("valgrind, which is needed: {error}"))?;
    if status.code() == Some(NO_SUCH_ROW) {
        return Ok(None);
    }
    if !status.success() {
        return Err(format!("{} of {peer} under valgrind: {status}", row.key).into());
    }
    let written = fs::read_to_string(written.path())?;
    let totals = written.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    Ok(Some(totals.ok_or("callgrind wrote no totals")?.trim().parse()?))
}
