//! What is demanded of figures, and whether it was reached.

use std::fmt;

use crate::{figures::shown, table::Table};

/// Demands, each with what was reached.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<Verdict>);

#[derive(Debug)]
struct Verdict {
    of: String,
    kind: &'static str,
    demanded: String,
    reached: String,
    is_met: bool,
}

impl Verdicts {
    /// Adds one: a `floor`, which has to hold, or an `aim`.
    pub fn push(
        &mut self,
        kind: &'static str,
        of: String,
        demanded: String,
        reached: String,
        is_met: bool,
    ) {
        self.0.push(Verdict { of, kind, demanded, reached, is_met });
    }

    /// Adds one that is met up to a figure.
    pub fn at_most(&mut self, kind: &'static str, of: String, unit: &str, most: f64, reached: f64) {
        let demanded = format!("at most {most:.0} {unit}");
        self.push(kind, of, demanded, format!("{} {unit}", shown(reached)), reached <= most);
    }

    /// Which are met, in their order.
    pub fn met(&self) -> Vec<bool> {
        self.0.iter().map(|verdict| verdict.is_met).collect()
    }
}

impl fmt::Display for Verdicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(["floors", "", "demanded", "reached", "verdict"]);
        for verdict in &self.0 {
            let outcome = if verdict.is_met { "met" } else { "MISSED" };
            let (demanded, reached) = (verdict.demanded.clone(), verdict.reached.clone());
            let kind = verdict.kind.to_owned();
            table.push(vec![verdict.of.clone(), kind, demanded, reached, outcome.to_owned()]);
        }
        writeln!(f, "{table}")?;
        let of = |kind: &str| self.0.iter().filter(|verdict| verdict.kind == kind).count();
        let met = |kind: &str| {
            self.0.iter().filter(|verdict| verdict.kind == kind && verdict.is_met).count()
        };
        let (floors, aims) = (of("floor"), of("aim"));
        writeln!(f, "{} of {floors} floors and {} of {aims} aims met.", met("floor"), met("aim"))
    }
}
