use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use super::{json, write_all};

/// A run to render once more.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// The run, as the harness wrote it.
    #[arg(value_name = "JSON")]
    pub json: PathBuf,
    /// Write the report into this directory.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// Reads a run and writes its report, so that an old run is shown as today's are.
///
/// # Errors
/// When the run cannot be read, or a file not be written.
pub fn run(options: &Options) -> Result<()> {
    let run = json::read(&options.json)?;
    write_all(&run, &options.out)?;
    println!("{}", options.out.join(format!("{}.html", run.kind.word())).display());
    Ok(())
}
