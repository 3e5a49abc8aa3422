//! Figures by line and column, over the rounds.

use crate::{
    figures::{Figures, shown},
    table::Table,
};

/// A table that is filled while rounds are run; its lines come in the order of their first figure.
#[derive(Debug)]
pub struct Sheet {
    unit: &'static str,
    columns: &'static [&'static str],
    lines: Vec<(String, Vec<Figures>)>,
}

impl Sheet {
    /// An empty one, of figures in this unit.
    pub fn new(unit: &'static str, columns: &'static [&'static str]) -> Self {
        Self { unit, columns, lines: Vec::new() }
    }

    /// Adds the figure of a round.
    pub fn push(&mut self, line: &str, column: usize, figure: f64) {
        debug_assert!(column < self.columns.len(), "there is such a column");
        let at = self.lines.iter().position(|(title, _)| title == line).unwrap_or_else(|| {
            self.lines.push((line.to_owned(), vec![Figures::default(); self.columns.len()]));
            self.lines.len() - 1
        });
        self.lines[at].1[column].push(figure);
    }

    /// The titles of the lines.
    pub fn titles(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|(title, _)| title.as_str())
    }

    /// The name of a column.
    pub fn column(&self, column: usize) -> &'static str {
        self.columns[column]
    }

    /// The median of a cell, if it has figures.
    pub fn median(&self, line: &str, column: usize) -> Option<f64> {
        self.lines.iter().find(|(title, _)| title == line)?.1[column].median()
    }

    /// The medians, with one more column that is worked out of them.
    pub fn medians(&self, last: &'static str, work_out: impl Fn(&str) -> Option<f64>) -> Table {
        let header = [format!("{}, medians", self.unit)];
        let columns = self.columns.iter().copied().chain([last]).map(str::to_owned);
        let mut table = Table::new(header.into_iter().chain(columns));
        for (title, figures) in &self.lines {
            let cell = |figure: Option<f64>| figure.map_or("-".to_owned(), shown);
            let mut line = vec![title.clone()];
            line.extend(figures.iter().map(|figures| cell(figures.median())));
            line.push(cell(work_out(title)));
            table.push(line);
        }
        table
    }

    /// The smallest and the largest of each cell.
    pub fn ranges(&self) -> Table {
        let header = [format!("{}, ranges", self.unit)];
        let columns = self.columns.iter().copied().map(str::to_owned);
        let mut table = Table::new(header.into_iter().chain(columns));
        for (title, figures) in &self.lines {
            let cell = |figures: &Figures| {
                let shown = |(low, high)| format!("{}..{}", shown(low), shown(high));
                figures.range().map_or("-".to_owned(), shown)
            };
            let cells = figures.iter().map(cell);
            table.push([title.clone()].into_iter().chain(cells).collect());
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_the_order_of_their_first_figure() {
        let mut sheet = Sheet::new("ns", &["a", "b"]);
        sheet.push("two", 1, 4.0);
        sheet.push("one", 0, 1.0);
        sheet.push("two", 1, 8.0);
        assert_eq!(sheet.titles().collect::<Vec<_>>(), ["two", "one"]);
        assert_eq!((sheet.median("two", 1), sheet.median("two", 0)), (Some(6.0), None));
        assert_eq!(
            sheet.ranges().to_string(),
            "| ns, ranges |          a |          b |\n|------------|-----------:|-----------:|\n\
             | two        |          - | 4.00..8.00 |\n| one        | 1.00..1.00 |          - |\n"
        );
    }
}
