//! A table as markdown, aligned so that it can be read in a terminal too.

use std::fmt;

/// A table with a header.
#[derive(Debug)]
pub struct Table {
    lines: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { lines: vec![header.into_iter().map(Into::into).collect()] }
    }

    /// Adds a line.
    pub fn push(&mut self, line: Vec<String>) {
        debug_assert_eq!(line.len(), self.lines[0].len(), "a cell for every column");
        self.lines.push(line);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.lines[0].len();
        let width = |at: usize| self.lines.iter().map(|line| line[at].len()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (number, line) in self.lines.iter().enumerate() {
            for (at, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Figures stand to the right, titles to the left.
                if at == 0 {
                    write!(f, "| {cell:<width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if number == 0 {
                for (at, width) in widths.iter().enumerate() {
                    let (dashes, mark) = ("-".repeat(width + 1), if at == 0 { '-' } else { ':' });
                    write!(f, "|{dashes}{mark}")?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["row", "a"]);
        table.push(vec!["tell".to_owned(), "24.1".to_owned()]);
        assert_eq!(table.to_string(), "| row  |    a |\n|------|-----:|\n| tell | 24.1 |\n");
    }
}
