use anyhow::Result;
use clap::Parser;

use crate::report::model::Run;

/// What to measure.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Write the run here as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
}

/// Measures, prints the table and writes the report.
///
/// # Errors
/// When the worker cannot be set up, or a file not be written.
pub fn run(_options: &Options) -> Result<Run> {
    anyhow::bail!("in the works")
}
