//! The local core against its peers: `cargo bench --manifest-path benches/Cargo.toml --bench local`.
//!
//! The peers take turns within one run, so that what else the machine does hits them alike. Every
//! sample starts its peer anew, with one thread for its actors.

use std::{error::Error, fmt::Write as _, fs};

use callboard_benches::{
    figures::{Figures, shown},
    options::{HELP, Options, holds},
    row::{PEERS, ROWS, Row, Runner},
    table::Table,
};

type Peers = Vec<(&'static str, Runner)>;

fn main() -> Result<(), Box<dyn Error>> {
    let Some(options) = Options::read()? else {
        println!("{HELP}");
        return Ok(());
    };
    let rows: Vec<Row> = ROWS.into_iter().filter(|row| holds(&options.rows, row.key)).collect();
    let mut peers: Peers = PEERS.to_vec();
    peers.retain(|(name, _)| holds(&options.peers, name));
    let figures = measure(&options, &rows, &peers);
    let report = report(&options, &rows, &peers, &figures)?;
    println!("{report}");
    if let Some(path) = options.markdown {
        fs::write(path, report)?;
    }
    Ok(())
}

/// Nanoseconds per message by row and peer.
fn measure(options: &Options, rows: &[Row], peers: &Peers) -> Vec<Vec<Figures>> {
    let mut figures = vec![vec![Figures::default(); peers.len()]; rows.len()];
    for round in 0..options.rounds {
        for (row, figures) in rows.iter().zip(&mut figures) {
            let messages = row.messages / options.divisor;
            for turn in 0..peers.len() {
                // Nobody is always the one who comes after the same other.
                let at = (turn + round) % peers.len();
                if let Some(sample) = peers[at].1(row, messages) {
                    figures[at].push(sample.elapsed.as_nanos() as f64 / messages as f64);
                }
            }
        }
        eprintln!("round {} of {}", round + 1, options.rounds);
    }
    figures
}

fn report(
    options: &Options,
    rows: &[Row],
    peers: &Peers,
    figures: &[Vec<Figures>],
) -> Result<String, std::fmt::Error> {
    let names = || peers.iter().map(|(name, _)| *name);
    let base = names().position(|name| name == PEERS[0].0);
    let header = ["ns per message, medians"].into_iter().chain(names());
    let mut medians = Table::new(header.chain([RATIOS]));
    let mut ranges = Table::new(["ns per message, ranges"].into_iter().chain(names()));
    for (row, figures) in rows.iter().zip(figures) {
        let title = || row.title.to_owned();
        let cell = |figures: &Figures| figures.median().map_or("-".to_owned(), shown);
        let mut line: Vec<_> = [title()].into_iter().chain(figures.iter().map(cell)).collect();
        line.push(base.map_or("-".to_owned(), |base| ratios(base, figures)));
        medians.push(line);
        let cell = |figures: &Figures| {
            let range = figures.range();
            range.map_or("-".to_owned(), |(low, high)| format!("{}..{}", shown(low), shown(high)))
        };
        ranges.push([title()].into_iter().chain(figures.iter().map(cell)).collect());
    }
    let mut report = String::new();
    writeln!(report, "{medians}\n{ranges}")?;
    writeln!(report, "Medians of {} rounds in which the peers took turns.", options.rounds)?;
    writeln!(report, "How the rows are arranged:\n")?;
    for row in rows {
        writeln!(report, "- {}: {}.", row.title, row.arranged)?;
    }
    Ok(report)
}

const RATIOS: &str = "callboard's part of each (below 1 = faster)";

/// The first peer's median as a part of every other's.
fn ratios(base: usize, figures: &[Figures]) -> String {
    let ours = figures[base].median();
    let others = figures.iter().enumerate().filter(|(at, _)| *at != base);
    let ratio = |theirs: &Figures| match (ours, theirs.median()) {
        (Some(ours), Some(theirs)) => format!("{:.2}", ours / theirs),
        _ => "-".to_owned(),
    };
    others.map(|(_, theirs)| ratio(theirs)).collect::<Vec<_>>().join(" / ")
}
