//! What the bus has to reach between two processes, and whether it does.

use super::{
    line::{LINES, Work},
    measured::Measured,
};
use crate::{figures::shown, verdict::Verdicts};

/// Which part of the bare loop's rate tells have to reach.
const OF_BARE_MIN: f64 = 0.5;
/// How many times the best peer's rate tells have to reach, and should.
const TELLS: [(&str, f64); 2] = [("floor", 5.0), ("aim", 10.0)];
/// How many times the best peer's rate asks have to reach.
const ASKS_MIN: f64 = 2.0;
/// How many times the sockets' latency an ask may take, and should take at most.
const ASK: [(&str, f64); 2] = [("floor", 1.6), ("aim", 1.3)];

/// Compares what was measured with what is demanded, as far as it was run.
pub fn verdicts(measured: &Measured) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for (key, limit) in [("tell", "bare-tell"), ("buffered", "bare-buffered")] {
        if let Some(reached) = ratio(measured, key, limit) {
            let of = format!("{}, of the bare loop", title(key));
            verdicts.push(
                "floor",
                of,
                format!("{:.0} %", OF_BARE_MIN * 100.0),
                format!("{:.1} %", reached * 100.0),
                reached >= OF_BARE_MIN,
            );
        }
    }
    for key in ["tell", "buffered"] {
        for (kind, times) in TELLS {
            against_peers(&mut verdicts, measured, kind, key, "tell", times);
        }
    }
    against_peers(&mut verdicts, measured, "floor", "asks", "asks", ASKS_MIN);
    if let Some(reached) = ratio(measured, "ask", "sockets") {
        for (kind, times) in ASK {
            let of = format!("{}, p50 against blocking sockets", title("ask"));
            let demanded = format!("at most {times:.1} x");
            verdicts.push(kind, of, demanded, format!("{reached:.2} x"), reached <= times);
        }
    }
    verdicts
}

/// A rate against the best that a peer reached in a row.
fn against_peers(
    verdicts: &mut Verdicts,
    measured: &Measured,
    kind: &'static str,
    key: &'static str,
    row: &'static str,
    times: f64,
) {
    let of_peers = LINES.iter().filter(|line| line.row == row && line.peer().is_some());
    let best = of_peers
        .filter(|line| !matches!(line.work, Work::Missing(_)))
        .filter_map(|line| Some((line.peer()?.key, measured.figure(line.key)?)))
        .max_by(|(_, one), (_, other)| one.total_cmp(other));
    if let (Some((peer, best)), Some(ours)) = (best, measured.figure(key)) {
        let reached = ours / best;
        let of = format!("{}, of the best peer, {peer}", title(key));
        let reached_shown = format!("{} x", shown(reached));
        verdicts.push(kind, of, format!("{times:.0} x"), reached_shown, reached >= times);
    }
}

fn ratio(measured: &Measured, key: &str, other: &str) -> Option<f64> {
    Some(measured.figure(key)? / measured.figure(other)?)
}

fn title(key: &str) -> &'static str {
    LINES.iter().find(|line| line.key == key).map_or("", |line| line.title)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::remote::sample::{Sample, Timed, Used};

    fn push(measured: &mut Measured, key: &str, rate: f64, micros: f64) {
        let line = LINES.iter().find(|line| line.key == key).unwrap();
        let elapsed = Duration::from_secs_f64(1e6 / rate);
        let middle = Some(Duration::from_secs_f64(micros / 1e6));
        let timed = Timed { elapsed, middle, per_frame: None };
        measured.push(line, &Sample { messages: 1_000_000, timed, used: Used::default() });
    }

    #[test]
    fn rates_are_held_against_the_best_peer_and_latencies_against_the_sockets() {
        let mut measured = Measured::default();
        push(&mut measured, "tell", 600_000.0, 0.0);
        push(&mut measured, "bare-tell", 1_000_000.0, 0.0);
        push(&mut measured, "tell-ractor", 50_000.0, 0.0);
        push(&mut measured, "tell-kameo", 100_000.0, 0.0);
        push(&mut measured, "asks", 150.0, 0.0);
        push(&mut measured, "asks-ractor", 100.0, 0.0);
        push(&mut measured, "ask", 1.0, 150.0);
        push(&mut measured, "sockets", 1.0, 100.0);
        let verdicts = verdicts(&measured);
        // Of the bare loop; five and ten times kameo; two times ractor; 1.6 and 1.3 times.
        assert_eq!(verdicts.met(), [true, true, false, false, true, false]);
    }

    #[test]
    fn of_what_was_not_run_nothing_is_said() {
        assert!(verdicts(&Measured::default()).met().is_empty());
    }
}
