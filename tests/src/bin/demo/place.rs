use std::path::Path;

use anyhow::{Result, ensure};
use portreeve_tests::lab::Lab;
use portreeve_tests::run_dir::RunDir;
use portreeve_tests::{bpffs, netns};

/// Namespaces and files of a lab that stays up have fixed names, so that they can be found again.
const KEPT_PREFIX: &str = "portreeve-demo";
const KEPT_DIR: &str = "/run/portreeve-demo";

/// Where a demo lives.
#[derive(Debug)]
pub struct Place {
    /// Its hosts.
    pub lab: Lab,
    /// Its files.
    pub dir: RunDir,
}

impl Place {
    /// A place that goes with the demo; several stand side by side.
    pub fn passing() -> Result<Self> {
        Ok(Self { lab: Lab::new("demo")?, dir: RunDir::new()? })
    }

    /// A place that stays; there is one.
    pub fn kept() -> Result<Self> {
        ensure!(
            netns::list(KEPT_PREFIX).is_empty() && !Path::new(KEPT_DIR).exists(),
            "a demo is up already: remove it with `cargo xtask demo --clean`"
        );
        let lab = Lab::with_prefix("demo", KEPT_PREFIX)?;
        Ok(Self { lab, dir: RunDir::at(KEPT_DIR.into())? })
    }
}

/// Ends and removes what `--keep` left, and says what that was.
pub fn remove_kept() {
    for name in netns::list(KEPT_PREFIX) {
        println!("removing the host {name} and what runs on it");
        netns::remove(&name);
    }
    bpffs::unmount(&Path::new(KEPT_DIR).join("bpf"));
    if std::fs::remove_dir_all(KEPT_DIR).is_ok() {
        println!("removed {KEPT_DIR}");
    }
}
