//! The run as plots. Drawn by hand: a few lines of text make a plot, and a plotting library would
//! be larger than this harness.

use super::head;
use super::model::Run;

/// Rectangles, lines and text.
mod canvas;
/// From values to places.
mod scale;
/// Scales with their marks and names.
mod axis;
/// Colours, dashes and marks that tell series apart.
mod palette;
/// Which colour is what.
mod legend;
/// Rows as horizontal bars: what rates and stages share.
mod bands;

/// Rates with their spread, peer beside peer.
mod rates;
/// Nanoseconds per packet against the number of flows.
mod flows;
/// Times of bursts and round trips.
mod latency;
/// Where the time goes.
mod stages;

/// A plot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chart {
    /// Its name in file names: `flows`, `rate-udp-64-b`.
    pub name: String,
    /// The group of rows that it shows; none when it shows rows of several.
    pub group: Option<String>,
    /// An SVG document.
    pub svg: String,
}

/// Every plot that the figures of `run` allow, each with a name of its own.
#[must_use]
pub fn charts(run: &Run) -> Vec<Chart> {
    let mut charts: Vec<Chart> = flows::chart(run).into_iter().collect();
    for group in head::groups(run) {
        charts.extend(rates::charts(run, group));
        charts.extend(latency::chart(run, group));
        charts.extend(stages::chart(run, group));
    }
    // Two groups may differ in nothing that a file name can hold; and a group may have two units.
    let names: Vec<String> = charts.iter().map(|chart| chart.name.clone()).collect();
    for (at, chart) in charts.iter_mut().enumerate() {
        let before = names[..at].iter().filter(|name| **name == chart.name).count();
        if before > 0 {
            chart.name += &format!("-{}", before + 1);
        }
    }
    charts
}

#[cfg(test)]
mod tests;
