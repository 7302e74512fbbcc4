use std::process::ExitCode;

use anyhow::Context;

use crate::cli::DetachArgs;
use crate::steer;

/// Removes a steering program that no gateway uses any more.
///
/// # Errors
/// When a gateway still uses it, or the kernel refuses.
pub fn run(args: &DetachArgs) -> anyhow::Result<ExitCode> {
    let dir = args.pin_dir.display();
    let links = steer::detach(&args.pin_dir).with_context(|| format!("cannot detach {dir}"))?;
    match links {
        0 => println!("nothing was attached from {dir}"),
        1 => println!("detached from 1 interface"),
        links => println!("detached from {links} interfaces"),
    }
    Ok(ExitCode::SUCCESS)
}
