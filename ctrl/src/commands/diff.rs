use std::path::Path;
use std::process::ExitCode;

use super::file::File;
use crate::cli::{DiffArgs, PROBLEMS};
use crate::desired::Desired;

/// Prints what a change would do.
///
/// # Errors
/// When a file cannot be read; a file that is wrong is reported and gives exit code 1.
pub fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let old = desired(&args.old)?;
    let new = desired(&args.new)?;
    let (Some(old), Some(new)) = (old, new) else { return Ok(ExitCode::from(PROBLEMS)) };
    print!("{}", crate::diff::diff(&old, &new));
    Ok(ExitCode::SUCCESS)
}

fn desired(path: &Path) -> anyhow::Result<Option<Desired>> {
    let file = File::read(path)?;
    match file.load() {
        Ok(loaded) => Ok(Some(loaded.desired)),
        Err(problems) => {
            file.report(&problems);
            Ok(None)
        }
    }
}
