//! Installs what is missing, and nothing else: a second run costs one look at dpkg's database.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::{llvm, packages};

/// What the machine gets ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Building, the lab, the tests.
    Work,
    /// That, and the peers that the benchmark compares with.
    Bench,
    /// That of work, and the whole of CI.
    Ci,
}

/// Makes sure that every package for `purpose` is there.
///
/// # Errors
/// When something is missing and cannot be installed; the message says what to install by hand.
pub fn ready(purpose: Purpose) -> Result<()> {
    let mut wanted: Vec<String> =
        packages::BUILD.iter().chain(packages::LAB).map(|name| (*name).to_owned()).collect();
    if purpose == Purpose::Ci {
        wanted.extend(packages::CI.iter().map(|name| (*name).to_owned()));
    }
    let mut missing = missing(wanted);
    if purpose == Purpose::Bench {
        missing.extend(peers());
    }
    if let Some(version) = llvm::installed().filter(|v| is_installed(&packages::llvm(*v)[0])) {
        // The compiler may have come without the library.
        missing.extend(self::missing(packages::llvm(version).into()));
    }
    if llvm::installed().is_some() && missing.is_empty() && purpose != Purpose::Ci {
        return Ok(());
    }
    if !has("dpkg-query") || !has("apt-get") {
        return without_apt(&missing);
    }
    let mut updated = false;
    if llvm::installed().is_none() {
        update(&mut updated)?;
        let version = llvm::available()
            .context("no clang and llvm of one version from 16 on are to be had here")?;
        missing.extend(packages::llvm(version));
    }
    if purpose == Purpose::Ci {
        // CI compares the steering object with this very version; elsewhere it says so.
        missing.extend(self::missing(packages::llvm(packages::CI_LLVM).into()));
    }
    missing.sort();
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    update(&mut updated)?;
    if !available(&packages::llvm(packages::CI_LLVM)[0]) {
        missing.retain(|name| !packages::llvm(packages::CI_LLVM).contains(name));
    }
    install(&missing)
}

fn missing(mut wanted: Vec<String>) -> Vec<String> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Package} ${db:Status-Status}\n"])
        .args(&wanted)
        .output();
    // It fails as soon as it does not know one of them, and still lists the others.
    let known = output.map(|output| output.stdout).unwrap_or_default();
    let known = String::from_utf8_lossy(&known);
    wanted.retain(|name| !known.lines().any(|line| line == format!("{name} installed")));
    wanted
}

/// Packages of peers that are not there and can be had; the benchmark says whom it had to do
/// without.
fn peers() -> Vec<String> {
    let mut wanted: Vec<_> = packages::BENCH.iter().map(|name| (*name).to_owned()).collect();
    // The driver's package carries the version of DPDK's interface in its name.
    let search = ["search", "--names-only", packages::XDP_DRIVER];
    let found = Command::new("apt-cache").args(search).output();
    let found = found.map(|output| output.stdout).unwrap_or_default();
    let names = String::from_utf8_lossy(&found).into_owned();
    wanted.extend(names.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())));
    let mut wanted = missing(wanted);
    wanted.retain(|name| available(name));
    wanted
}

fn is_installed(package: &str) -> bool {
    missing(vec![package.to_owned()]).is_empty()
}

fn available(package: &str) -> bool {
    let output = Command::new("apt-cache").args(["show", "--no-all-versions", package]).output();
    output.is_ok_and(|output| output.status.success() && !output.stdout.is_empty())
}

fn update(done: &mut bool) -> Result<()> {
    if !std::mem::replace(done, true) {
        apt_get(&["update".into()])?;
    }
    Ok(())
}

fn install(packages: &[String]) -> Result<()> {
    println!("installing: {}", packages.join(" "));
    let options = ["install", "--yes", "--no-install-recommends"].map(str::to_owned);
    apt_get(&[&options, packages].concat())
}

fn apt_get(args: &[String]) -> Result<()> {
    ensure!(
        is_root(),
        "packages are missing: as root, run this again, or apt-get {}",
        args.join(" ")
    );
    let _quiet = NoServices::policy();
    let status = Command::new("apt-get")
        .args(["-o", "Dpkg::Lock::Timeout=300", "-q"])
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .context("start apt-get")?;
    ensure!(status.success(), "apt-get {} failed, {status}", args.join(" "));
    Ok(())
}

/// Keeps packages from starting their services on this host while it lives: tests run them inside
/// namespaces (<https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt>).
struct NoServices;

impl NoServices {
    const PATH: &str = "/usr/sbin/policy-rc.d";

    /// `None` when this host has a policy of its own, which then decides.
    fn policy() -> Option<Self> {
        // 101: action forbidden by policy.
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o755);
        let mut file = options.open(Self::PATH).ok()?;
        file.write_all(b"#!/bin/sh\nexit 101\n").ok()?;
        Some(Self)
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        // Without it packages start their services again, which is what they always do.
        let _ = std::fs::remove_file(Self::PATH);
    }
}

fn without_apt(missing: &[String]) -> Result<()> {
    let tools = ["cc", "make", "m4", "pkg-config", "ip", "ping", "curl", "tcpdump", "ethtool"];
    let absent: Vec<_> = tools.iter().filter(|tool| !has(tool)).copied().collect();
    if absent.is_empty() && llvm::installed().is_some() {
        return Ok(());
    }
    bail!(
        "this is neither Debian nor Ubuntu: install what these packages hold there: {}, and clang, \
         llvm and libclang of one version from 16 on",
        missing.join(", ")
    )
}

/// The owner of what the kernel shows of this process is its user.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Whether a program is in the path.
pub fn has(program: &str) -> bool {
    let path = crate::cargo::search_path();
    std::env::split_paths(&path).any(|dir| Path::new(&dir).join(program).is_file())
}
