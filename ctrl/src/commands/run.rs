use std::process::ExitCode;

use crate::cli::RunArgs;
use crate::run::{self, Options};

/// Forwards packets until the process is told to stop.
///
/// # Errors
/// When the configuration is wrong or something that is needed cannot be had.
pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    run::run(&Options {
        config: args.config.clone(),
        pin_dir: args.pin_dir.clone(),
        socket: args.socket.clone(),
        test_delay_ns: args.test_delay_ns,
    })?;
    Ok(ExitCode::SUCCESS)
}
