use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};

/// `PATH` with the system administrator's directories: a plain user's lacks them, and so can an
/// editor's.
#[must_use]
pub fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// The program `name` of this workspace, as cargo built it beside the running one. `variable`
/// in the environment overrides.
///
/// # Errors
/// When it has not been built; the message says how to.
pub fn built(name: &str, variable: &str) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let running = std::env::current_exe().context("find the running program")?;
    let mut dir = running.parent().context("the running program has no directory")?;
    if dir.file_name().is_some_and(|name| name == "deps") {
        dir = dir.parent().context("deps has no parent directory")?;
    }
    let path = dir.join(name);
    ensure!(
        path.exists(),
        "{} is not built: run `cargo xtask test lb`, or `cargo build --workspace --bins`, \
         or set {variable}",
        path.display()
    );
    Ok(path)
}
