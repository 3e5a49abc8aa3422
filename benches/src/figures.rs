//! What was measured of one row and one peer.

/// The figures of the rounds.
#[derive(Debug, Clone, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// Adds the figure of a round.
    pub fn push(&mut self, figure: f64) {
        let at = self.0.partition_point(|other| *other <= figure);
        self.0.insert(at, figure);
    }

    /// The middle one; of an even number the mean of the two in the middle.
    pub fn median(&self) -> Option<f64> {
        let middle = self.0.len() / 2;
        match self.0.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(self.0[middle]),
            _ => Some(f64::midpoint(self.0[middle - 1], self.0[middle])),
        }
    }

    /// The smallest and the largest.
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((*self.0.first()?, *self.0.last()?))
    }
}

/// A figure with three digits or so.
pub fn shown(figure: f64) -> String {
    match figure {
        small if small < 10.0 => format!("{small:.2}"),
        middling if middling < 100.0 => format!("{middling:.1}"),
        large => format!("{large:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle_whatever_the_order() {
        let mut figures = Figures::default();
        assert_eq!(figures.median(), None);
        for figure in [3.0, 1.0, 2.0] {
            figures.push(figure);
        }
        assert_eq!((figures.median(), figures.range()), (Some(2.0), Some((1.0, 3.0))));
        figures.push(10.0);
        assert_eq!(figures.median(), Some(2.5));
    }
}
