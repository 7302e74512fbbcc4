//! Instructions per packet, counted by callgrind: the one figure that a noisy machine cannot move.
//! It is compared with what is checked in, so that nobody makes the pipeline longer unawares.

/// The counts that are checked in.
mod counts;
/// What runs below callgrind.
pub mod measured;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;

use counts::Counts;
use measured::{CASES, PACKETS};

/// More than this share above the checked-in count fails.
const MOST: f64 = 0.03;
/// How the counts are brought up to date.
const UPDATE: &str = "cargo xtask bench guard --update";

/// What to do with the counts.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// Write the counts of now into the checked-in file.
    #[arg(long)]
    pub update: bool,
    /// The checked-in file.
    #[arg(long, value_name = "FILE", default_value = "bench/instructions.json")]
    pub counts: PathBuf,
    /// Runs one case, below callgrind.
    #[arg(long, hide = true, value_name = "CASE")]
    pub measured: Option<String>,
}

/// Counts, and compares with what is checked in.
///
/// # Errors
/// When a case takes more than 3 % more instructions, or callgrind cannot be run.
pub fn run(options: &Options) -> Result<()> {
    if let Some(case) = &options.measured {
        return measured::run(case);
    }
    let now = Counts { compiler: compiler()?, per_packet: count_all()? };
    if options.update {
        return now.write(&options.counts);
    }
    compare(&Counts::read(&options.counts)?, &now)
}

fn compare(old: &Counts, now: &Counts) -> Result<()> {
    let mut worse = Vec::new();
    for (case, count) in &now.per_packet {
        let before = old.per_packet.get(case).copied();
        let change = before.map_or(0.0, |before| count / before - 1.0);
        println!("{case:<24} {count:>8.1} instructions/packet  {:+.1} %", change * 100.0);
        if before.is_none() || change > MOST {
            worse.push(case.as_str());
        }
    }
    if old.compiler != now.compiler {
        println!("not compared: counted with {}, this is {}; {UPDATE}", old.compiler, now.compiler);
        return Ok(());
    }
    if !worse.is_empty() {
        bail!(
            "more than {} % more instructions per packet: {}. If that is what you want: {UPDATE}",
            MOST * 100.0,
            worse.join(", ")
        );
    }
    Ok(())
}

fn compiler() -> Result<String> {
    let output =
        Command::new("rustc").arg("--version").output().context("ask rustc its version")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn count_all() -> Result<std::collections::BTreeMap<String, f64>> {
    let own = std::env::current_exe().context("find our own program")?;
    CASES
        .iter()
        .map(|(name, _)| {
            let count = count(&own, name)? as f64 / PACKETS as f64;
            Ok(((*name).to_owned(), (count * 10.0).round() / 10.0))
        })
        .collect()
}

/// Instructions inside of [`measured::turns`].
fn count(own: &Path, case: &str) -> Result<u64> {
    let out = std::env::temp_dir().join(format!("portreeve-guard-{}", std::process::id()));
    let output = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg("--toggle-collect=*guard*measured*turns*")
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(own)
        .args(["guard", "--measured", case])
        .output()
        .context("run valgrind (the package of that name)")?;
    let _ = std::fs::remove_file(&out);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{case} below valgrind: {said}");
    let line = said.lines().find_map(|line| line.split("Collected :").nth(1));
    let count: u64 =
        line.and_then(|count| count.trim().parse().ok()).context("callgrind's count")?;
    ensure!(count > 0, "callgrind has seen no instruction of {case}");
    Ok(count)
}
