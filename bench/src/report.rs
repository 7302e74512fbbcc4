//! What a run found, and how it is shown.

/// The run as data: what the JSON holds.
pub mod model;
/// The run as a file for programs.
pub mod json;
/// The run as plain text, for terminals and for files.
pub mod markdown;
/// The run as one page that opens without a network.
pub mod html;
/// The run as plots.
pub mod svg;
/// Every form of the report, into one directory.
mod write;
/// The subcommand `report`.
mod again;

/// Which rounds count.
pub mod believed;
/// Which rows a ratio rests on.
pub mod basis;
/// Numbers with their units, for people.
pub mod figure;
/// Tables of text.
pub mod table;
/// The tables of one group of rows.
mod group;
/// The bars of the design.
mod bars;
/// Text inside of markup.
mod escape;
/// Dates, for people.
mod date;
/// What the report says at its head.
mod head;

/// A run to test with, and to look at.
#[cfg(test)]
pub mod example;

pub use again::{Options, run};
pub use write::write_all;
