use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::llvm;

/// The top of the repository.
pub fn root() -> PathBuf {
    let own =
        env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    // xtask/ lies directly below the top.
    Path::new(&own).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// What libxdp's makefile passes to clang when nobody says otherwise, and one more: it warns as
/// errors, and clang 22 warns of the `-c` that the makefile passes beside `-S`.
const LIBXDP_BPF_CFLAGS: &str =
    "-Wno-visibility -fno-stack-protector -Wno-unused-command-line-argument";

/// A cargo command at the top of the repository, with the environment that every build here gets.
/// It is one and the same for all, so that no command makes another rebuild anything.
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    prepare(&mut command);
    command
}

/// As [`cargo`], with the nightly toolchain.
pub fn nightly(args: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).args(args);
    prepare(&mut command);
    // Set by the stable cargo that runs us; they would lead the nightly one astray.
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command
}

/// Whether there is a nightly toolchain.
pub fn has_nightly() -> bool {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo", "--version"]);
    command.output().is_ok_and(|output| output.status.success())
}

/// The top of the repository, the path, and which clang and llc the build of libxdp runs.
pub fn prepare(command: &mut Command) {
    command.current_dir(root()).env("PATH", search_path());
    if let Some(version) = llvm::installed() {
        command.env("CLANG", format!("clang-{version}")).env("LLC", format!("llc-{version}"));
    }
    if env::var_os("BPF_CFLAGS").is_none() {
        command.env("BPF_CFLAGS", LIBXDP_BPF_CFLAGS);
    }
    // What cargo told us of our own package is not about the ones built now.
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
}

/// `PATH` with the system administrator's directories, which a plain user's lacks.
pub fn search_path() -> OsString {
    let mut path = env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}
