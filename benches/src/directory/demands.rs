//! What the directory has to reach, and whether it does.

use super::{
    propagation::Propagation,
    resolve::{COLD, HOT},
    sheet::Sheet,
};
use crate::{figures::shown, verdict::Verdicts};

/// Nanoseconds of a resolve by a handle that are aimed at.
const HOT_NS_MAX: f64 = 15.0;
/// Nanoseconds of a look-up by name that are aimed at.
const COLD_NS_MAX: f64 = 80.0;
/// Microseconds from a change on one node to its event on another, of 99 in 100.
const PROPAGATION_US_MAX: f64 = 200_000.0;
/// How many look-ups a range of etcd has to be worth, at least.
const LOOK_UPS_MIN: f64 = 1000.0;

/// Compares what was measured with what is demanded.
pub fn verdicts(resolve: &Sheet, propagation: &Propagation, range_column: usize) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for line in resolve.titles() {
        let cold = line.starts_with(COLD).then_some(COLD_NS_MAX);
        let Some(most) = cold.or(line.starts_with(HOT).then_some(HOT_NS_MAX)) else { continue };
        for column in [0, 1] {
            if let Some(reached) = resolve.median(line, column) {
                let of = format!("{line}, {}", resolve.column(column));
                verdicts.at_most("aim", of, "ns", most, reached);
            }
        }
        if let (Some(range), Some(ours)) =
            (resolve.median(line, range_column), resolve.median(line, 0))
        {
            let reached = range / ours;
            verdicts.push(
                "floor",
                format!("{line}, against a range of etcd"),
                format!("{LOOK_UPS_MIN:.0} x"),
                format!("{} x", shown(reached)),
                reached >= LOOK_UPS_MIN,
            );
        }
    }
    for line in propagation.lines.iter().filter(|line| !line.title.contains("limit")) {
        let of = format!("{}, p99", line.title);
        verdicts.at_most("floor", of, "us", PROPAGATION_US_MAX, line.percentile(99));
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::resolve::{COLUMNS, RANGE};

    #[test]
    fn what_is_too_slow_is_missed() {
        let mut resolve = Sheet::new("ns", COLUMNS);
        resolve.push("hot, a", 0, 15.0);
        resolve.push("hot, a", 1, 15.1);
        resolve.push("cold, a", 0, 81.0);
        resolve.push("cold, a", RANGE, 81_000.0);
        let verdicts = verdicts(&resolve, &Propagation::default(), RANGE);
        assert_eq!(verdicts.met(), [true, false, false, true]);
        assert!(verdicts.to_string().ends_with("1 of 1 floors and 1 of 3 aims met.\n"));
    }
}
