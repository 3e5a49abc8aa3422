//! How much faster than its peers callboard has to be, and whether it is.

use std::fmt;

use crate::{
    measured::Measured,
    row::{PEERS, Row},
    table::Table,
};

/// Bytes that an idle actor may hold; the `footprint` benchmark says how many it does.
pub const IDLE_BYTES_MAX: f64 = 800.0;

/// What callboard's median is compared with.
#[derive(Debug, Clone, Copy)]
enum Demand {
    /// A peer's median is to be this many times callboard's.
    Times(&'static str, &'static str, f64),
    /// So many nanoseconds.
    AtMost(&'static str, f64),
}

const fn demand(row: &'static str, peer: &'static str, times: f64) -> Demand {
    Demand::Times(row, peer, times)
}

/// What must hold. 1 is level.
const FLOORS: &[Demand] = &[
    demand("tell", "actix", 1.2),
    demand("tell", "ractor", 4.0),
    demand("tell", "kameo", 6.0),
    demand("tell-bounded", "actix", 1.6),
    demand("tell-across", "actix", 4.0),
    demand("tell-across", "kameo", 4.0),
    demand("tell-across", "ractor", 4.0),
    demand("tell-across", "tokio", 1.5),
    demand("ask", "actix", 1.0),
    demand("ask", "ractor", 1.9),
    demand("ask", "kameo", 1.9),
    demand("ask-actor", "actix", 1.3),
    demand("ring", "actix", 1.1),
    demand("ring", "ractor", 3.0),
    demand("spawn", "actix", 1.3),
    // With the spin: on idle cores, and beside load no worse than 1.2 times what it is without.
    Demand::AtMost("ask-between", 2000.0),
    demand("ask-between-loaded", "callboard (no spin)", 1.0 / 1.2),
];

/// What is aimed at; besides, to be ahead of the hand-written actor in every row.
const AIMS: &[Demand] =
    &[demand("tell", "actix", 1.8), demand("ring", "actix", 1.5), demand("ask", "actix", 1.2)];

impl Demand {
    fn row(&self) -> &'static str {
        match self {
            Self::Times(row, ..) | Self::AtMost(row, _) => row,
        }
    }
}

/// The demands on the rows that were run, each with what was reached.
#[derive(Debug)]
pub struct Verdicts {
    floors: Vec<Verdict>,
    aims: Vec<Verdict>,
}

#[derive(Debug)]
struct Verdict {
    title: &'static str,
    demand: Demand,
    reached: f64,
}

impl Verdict {
    fn of(demand: Demand, title: &'static str, measured: &Measured) -> Option<Self> {
        let ours = measured.median(demand.row(), PEERS[0].0)?;
        let reached = match demand {
            Demand::Times(row, peer, _) => measured.median(row, peer)? / ours,
            Demand::AtMost(..) => ours,
        };
        Some(Self { title, demand, reached })
    }

    fn is_met(&self) -> bool {
        match self.demand {
            Demand::Times(_, _, times) => self.reached >= times,
            Demand::AtMost(_, most) => self.reached <= most,
        }
    }

    fn line(&self, kind: &str) -> Vec<String> {
        let (demanded, reached) = match self.demand {
            Demand::Times(_, peer, times) => {
                (format!("{times:.1} x {peer}"), format!("{:.2} x", self.reached))
            }
            Demand::AtMost(_, most) => {
                (format!("at most {most:.0} ns"), format!("{:.0} ns", self.reached))
            }
        };
        let verdict = if self.is_met() { "met" } else { "MISSED" };
        vec![self.title.to_owned(), kind.to_owned(), demanded, reached, verdict.to_owned()]
    }
}

/// Compares what was measured with what is demanded.
pub fn verdicts(measured: &Measured, rows: &[Row]) -> Verdicts {
    let mut verdicts = Verdicts { floors: Vec::new(), aims: Vec::new() };
    for row in rows {
        let verdict = |demand: &Demand| Verdict::of(*demand, row.title, measured);
        let of_row = |demand: &&Demand| demand.row() == row.key;
        verdicts.floors.extend(FLOORS.iter().filter(of_row).filter_map(verdict));
        let ahead = demand(row.key, "tokio", 1.0);
        let aims = AIMS.iter().filter(of_row).chain([&ahead]);
        verdicts.aims.extend(aims.filter_map(verdict));
    }
    verdicts
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["floors", "", "demanded", "reached", "verdict"]);
        for (kind, verdicts) in [("floor", &self.floors), ("aim", &self.aims)] {
            verdicts.iter().for_each(|verdict| table.push(verdict.line(kind)));
        }
        writeln!(f, "{table}")?;
        let met = |verdicts: &[Verdict]| verdicts.iter().filter(|verdict| verdict.is_met()).count();
        writeln!(
            f,
            "{} of {} floors and {} of {} aims met. `1.2 x actix` is met when callboard's median is \
             at most 1/1.2 of actix's.",
            met(&self.floors),
            self.floors.len(),
            met(&self.aims),
            self.aims.len(),
        )
    }
}
