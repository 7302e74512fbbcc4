//! What commands say of a set-up that is wrong, held against docs/wrong-setups.md.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::appliance::Appliance;
use crate::config::{ports, service};
use crate::host::Host;
use crate::lab::{Lab, LinkOptions};
use crate::program::built;
use crate::run_dir::RunDir;
use crate::seed::{self, SeedLab};
use crate::skip::has_root;

/// Sooner than an operator loses patience.
pub const SOON: Duration = Duration::from_secs(20);
const DOCUMENT: &str = include_str!("../../docs/wrong-setups.md");
/// Services have this port.
pub const WEB: &str = "{ port = 80 }";

/// The lab of the study log, when it may be made here.
///
/// # Errors
/// When it cannot be laid out.
pub fn lab(name: &str, options: LinkOptions) -> Result<Option<SeedLab>> {
    if !has_root(name) {
        return Ok(None);
    }
    SeedLab::build(&Lab::new(name)?, options).map(Some)
}

/// A configuration with all ports and one service.
#[must_use]
pub fn config(vip: &str, backends: &[&str]) -> String {
    ports(&seed::PORTS) + &service(vip, backends, WEB)
}

/// A configuration that is right.
#[must_use]
pub fn fine() -> String {
    config(seed::VIPS[0], &seed::SERVERS)
}

/// `words` stand in what a command said, and in the document.
///
/// # Errors
/// When they do not.
pub fn named(said: &str, words: &str) -> Result<()> {
    ensure!(said.contains(words), "not named: {words:?} in:\n{said}");
    let document = DOCUMENT.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(document.contains(words), "docs/wrong-setups.md does not have {words:?}");
    Ok(())
}

/// What `portreeve check` says of `config` on `host`; it must refuse it.
///
/// # Errors
/// When it takes it.
pub fn check(host: &Host, config: &str) -> Result<String> {
    let dir = RunDir::new()?;
    let file = dir.path().join("gateway.toml");
    std::fs::write(&file, config).context("write a configuration")?;
    let file = file.to_str().context("a path that is not UTF-8")?;
    let ran = host.run(program()?.as_str(), &["check", file])?;
    ensure!(!ran.success, "taken: {}", ran.stdout);
    Ok(ran.stderr)
}

/// The program itself.
///
/// # Errors
/// When it has not been built.
pub fn program() -> Result<String> {
    let path = built("portreeve", "PORTREEVE_BIN")?;
    Ok(path.to_str().context("a path that is not UTF-8")?.to_owned())
}

/// The finding of `portreeve doctor` with this id, in words; none when it finds no such thing.
///
/// # Errors
/// When it says nothing that can be read.
pub fn doctor(host: &Host, appliance: &Appliance, id: &str) -> Result<Option<String>> {
    let pins = appliance.pin_dir();
    let pins = pins.to_str().context("a path that is not UTF-8")?;
    let ran = appliance.cli(host, &["doctor", "--json", "--pin-dir", pins])?;
    finding(&ran.stdout, id).with_context(|| ran.stderr)
}

/// The finding with this id in what `doctor --json` has printed.
///
/// # Errors
/// When it is no JSON, or the finding does not say what to do.
pub fn finding(json: &str, id: &str) -> Result<Option<String>> {
    let all: Vec<Value> = serde_json::from_str(json).with_context(|| json.to_owned())?;
    let found = all.iter().find(|finding| finding["id"] == id && finding["severity"] != "fine");
    let Some(found) = found else { return Ok(None) };
    ensure!(found["help"].is_string(), "{found} does not say what to do");
    Ok(found["what"].as_str().map(str::to_owned))
}

/// As [`doctor`], as soon as there is such a finding.
///
/// # Errors
/// When there is none in time.
pub fn diagnosed(host: &Host, appliance: &Appliance, id: &str) -> Result<String> {
    let began = Instant::now();
    loop {
        match doctor(host, appliance, id)? {
            Some(what) => return Ok(what),
            None => ensure!(began.elapsed() < SOON, "doctor finds no {id}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What `portreeve trace` says of a packet that does not get through.
///
/// # Errors
/// When it does.
pub fn trace(net: &SeedLab, appliance: &Appliance, args: &[&str]) -> Result<String> {
    let ran = appliance.cli(&net.gateway, &[&["trace"], args].concat())?;
    ensure!(!ran.success, "all is well: {}", ran.stdout);
    Ok(ran.stdout)
}
