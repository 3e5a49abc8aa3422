//! A table as a plot: grouped bars on a logarithmic scale, as SVG.
//!
//! Drawn on a light card of its own, so that it is readable whatever theme the book is shown in: a
//! picture cannot know that.

use std::fmt;

use crate::{
    figures::shown,
    measured::Measured,
    row::{Kind, PEERS},
};

const WIDTH: f64 = 760.0;
/// Where the bars begin.
const LEFT: f64 = 236.0;
/// Room for the figure behind the longest bar, and the margin.
const RIGHT: f64 = 62.0;
/// Room for title and legend.
const TOP: f64 = 84.0;
/// Room for the scale.
const BOTTOM: f64 = 44.0;
const BAR: f64 = 11.0;
/// Between two groups.
const GAP: f64 = 13.0;
/// Colours that the colour-blind can tell apart, by peer in the order of the table.
const COLOURS: [&str; PEERS.len()] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#8c8c8c"];

/// Bars of one row.
struct Group {
    title: &'static str,
    /// Colour and figure.
    bars: Vec<(&'static str, f64)>,
}

/// The plot of a table; nothing when none of its rows was run.
pub fn of(measured: &Measured, kind: Kind) -> Option<String> {
    let peers: Vec<_> = PEERS
        .iter()
        .zip(COLOURS)
        .map(|((name, _), colour)| (*name, colour))
        .filter(|(name, _)| measured.peers().any(|peer| peer == *name))
        .collect();
    let groups: Vec<Group> = measured
        .rows(kind)
        .map(|row| Group {
            title: row.title,
            bars: peers
                .iter()
                .filter_map(|(peer, colour)| Some((*colour, measured.median(row.key, peer)?)))
                .collect(),
        })
        .filter(|group| !group.bars.is_empty())
        .collect();
    let title = match kind {
        Kind::Micro => "One operation, over and over",
        Kind::Savina => "Savina workloads",
    };
    let scale =
        Scale::over(groups.iter().flat_map(|group| &group.bars).map(|(_, figure)| *figure))?;
    let plot = Plot { title, peers, groups, scale };
    Some(plot.to_string())
}

/// A logarithmic scale whose ends are ticks.
#[derive(Debug, Clone, Copy)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// Nothing when there are no figures. The shortest bar has some length, too.
    fn over(figures: impl Iterator<Item = f64> + Clone) -> Option<Self> {
        let least = figures.clone().reduce(f64::min)?;
        let most = figures.reduce(f64::max)?;
        let low = ticks().take_while(|tick| *tick <= least / 1.5).last().unwrap_or(0.1);
        let high = ticks().find(|tick| *tick >= most).unwrap_or(most);
        Some(Self { low, high })
    }

    fn x(self, figure: f64) -> f64 {
        let part = (figure / self.low).ln() / (self.high / self.low).ln();
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn ticks(self) -> impl Iterator<Item = f64> {
        ticks().skip_while(move |tick| *tick < self.low).take_while(move |tick| *tick <= self.high)
    }
}

/// 1, 2, 5, 10 and so on, from a tenth of a nanosecond to ten seconds.
fn ticks() -> impl Iterator<Item = f64> {
    (-1..=10).flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10_f64.powi(power)))
}

/// 20 000 as `20k`.
fn tick_shown(tick: f64) -> String {
    match tick {
        nanos if nanos < 1e3 => format!("{nanos}"),
        micros if micros < 1e6 => format!("{}k", micros / 1e3),
        millis => format!("{}M", millis / 1e6),
    }
}

struct Plot {
    title: &'static str,
    /// Names and colours.
    peers: Vec<(&'static str, &'static str)>,
    groups: Vec<Group>,
    scale: Scale,
}

impl Plot {
    fn bottom(&self) -> f64 {
        let height = |group: &Group| group.bars.len() as f64 * BAR + GAP;
        TOP + self.groups.iter().map(height).sum::<f64>()
    }

    fn head(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = self.bottom() + BOTTOM;
        writeln!(
            f,
            r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="12" fill="#222222">"##
        )?;
        let (width, height) = (WIDTH - 1.0, height - 1.0);
        writeln!(
            f,
            r##"<rect x="0.5" y="0.5" width="{width}" height="{height}" rx="6" fill="#fcfcfa" stroke="#d0d0cc"/>"##
        )?;
        let title = escaped(self.title);
        writeln!(
            f,
            r#"<text x="16" y="28" font-size="15" font-weight="600">{title}</text>
<text x="16" y="46" fill="{GREY}">nanoseconds per message unless the row says per what, medians, logarithmic scale; shorter is faster</text>"#
        )
    }

    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut x = 16.0;
        for (name, colour) in &self.peers {
            let (at, text) = (x + 15.0, escaped(name));
            writeln!(
                f,
                r#"<rect x="{x}" y="57" width="10" height="10" rx="1.5" fill="{colour}"/><text x="{at}" y="66.5">{text}</text>"#
            )?;
            x += 34.0 + 7.0 * name.len() as f64;
        }
        Ok(())
    }

    fn grid(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (top, bottom) = (TOP - 4.0, self.bottom());
        let below = bottom + 16.0;
        // Three ticks for each power of ten would stand too close when there are many.
        let is_crowded = self.scale.ticks().count() > 12;
        for tick in self.scale.ticks() {
            let x = self.scale.x(tick);
            let is_power = tick.log10().fract().abs() < 1e-9;
            let colour = if is_power { "#c4c4c0" } else { "#e6e6e2" };
            writeln!(
                f,
                r#"<line x1="{x:.1}" y1="{top}" x2="{x:.1}" y2="{bottom}" stroke="{colour}"/>"#
            )?;
            if is_power || !is_crowded {
                let text = tick_shown(tick);
                writeln!(
                    f,
                    r#"<text x="{x:.1}" y="{below}" text-anchor="middle" font-size="11" fill="{GREY}">{text}</text>"#
                )?;
            }
        }
        let (middle, below) = (f64::midpoint(LEFT, WIDTH - RIGHT), bottom + 33.0);
        writeln!(
            f,
            r#"<text x="{middle}" y="{below}" text-anchor="middle" font-size="11" fill="{GREY}">ns</text>"#
        )
    }

    fn bars(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut y = TOP;
        for group in &self.groups {
            let height = group.bars.len() as f64 * BAR;
            let (x, middle, title) = (LEFT - 10.0, y + height / 2.0 + 4.0, escaped(group.title));
            writeln!(f, r#"<text x="{x}" y="{middle}" text-anchor="end">{title}</text>"#)?;
            for (at, (colour, figure)) in group.bars.iter().enumerate() {
                let (y, end) = (y + at as f64 * BAR, self.scale.x(*figure));
                let (width, height) = (end - LEFT, BAR - 1.5);
                let (x, baseline) = (end + 4.0, y + BAR - 2.5);
                let text = shown(*figure);
                writeln!(
                    f,
                    r##"<rect x="{LEFT}" y="{y}" width="{width:.1}" height="{height}" fill="{colour}"/><text x="{x:.1}" y="{baseline}" font-size="9.5" stroke="#fcfcfa" stroke-width="2" paint-order="stroke">{text}</text>"##
                )?;
            }
            y += height + GAP;
        }
        Ok(())
    }
}

const GREY: &str = "#5c5c5c";

impl fmt::Display for Plot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.head(f)?;
        self.legend(f)?;
        self.grid(f)?;
        self.bars(f)?;
        writeln!(f, "</svg>")
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_ends_at_ticks_and_leaves_the_shortest_bar_some_length() {
        let scale = Scale::over([24.0, 6200.0].into_iter()).expect("there are figures");
        assert_eq!((scale.low, scale.high), (10.0, 10_000.0));
        assert!(scale.x(24.0) > LEFT && scale.x(6200.0) < WIDTH - RIGHT);
        assert!(Scale::over(std::iter::empty()).is_none());
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
    }
}
