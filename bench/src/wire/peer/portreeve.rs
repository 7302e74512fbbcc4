use anyhow::{Context as _, Result, ensure};
use dataplane::mem::Pages;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::run_dir::RunDir;

use super::Peer;
use crate::wire::rig::{BACKEND, BACKENDS, BULK, DISCARD, FAR, NEAR, PROBE, Rig, TCP, VIP, after};

/// Source addresses of its own, on the servers' link: sixteen pairs with the servers.
const SNAT: &str = "[\"10.2.1.1\", \"10.2.1.2\"]";
const WORKER: &str = "worker-0";

/// The appliance with its defaults.
struct Portreeve {
    appliance: Appliance,
}

impl Peer for Portreeve {
    fn worker(&self) -> Option<(u32, &'static str)> {
        Some((self.appliance.process().ok()?.pid(), WORKER))
    }

    fn check(&self, rig: &Rig) -> Result<()> {
        let status = self.appliance.json(&rig.gateway, &["status"])?;
        let drops = status.get("drops").context("status names no drops")?;
        for reason in ["ports_exhausted", "flow_table_full"] {
            let count = drops.get(reason).and_then(serde_json::Value::as_u64);
            ensure!(count == Some(0), "{reason}: {count:?}; the figures are those of refusals");
        }
        Ok(())
    }
}

/// Starts it with every key at its default but the source addresses, and with packet memory in such
/// pages as are there for it to take.
///
/// # Errors
/// When it is not built or does not come up, or its packet memory lies elsewhere.
pub fn start(rig: &Rig, delay_ns: u64, pages: Pages) -> Result<Box<dyn Peer>> {
    let servers: Vec<_> = (0..BACKENDS).map(|n| after(BACKEND, n).to_string()).collect();
    let servers: Vec<_> = servers.iter().map(String::as_str).collect();
    let which = format!(
        r#"{{ port = {TCP} }}, {{ port = {BULK} }}, {{ port = {DISCARD}, protocol = "udp" }}, {{ port = {PROBE}, protocol = "udp" }}"#
    );
    let config = format!(
        "[snat]\naddresses = {SNAT}\n{}{}",
        ports(&[NEAR, FAR]),
        service(&VIP.to_string(), &servers, &which)
    );
    let args = match delay_ns {
        0 => Vec::new(),
        ns => vec!["--test-delay-ns".to_owned(), ns.to_string()],
    };
    let appliance = Appliance::start_with(RunDir::new()?, &rig.gateway, &config, &args)?;
    let log = appliance.log();
    let memory = log.lines().find(|line| line.contains("packet memory"));
    let memory = memory.context("it does not log where its packet memory lies")?;
    ensure!(memory.contains(pages.name()), "not {}: {memory}", pages.name());
    Ok(Box::new(Portreeve { appliance }))
}
