//! What an operator asks a running gateway: status, services, flows, metrics; and who may ask.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::curl;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;

const REQUESTS: usize = 10;
/// As the configuration of the tests names it.
const SERVICE: &str = "s-10.10.200.1";
const PATIENCE: Duration = Duration::from_secs(5);
const METRICS: &str = "127.0.0.1:9100";

/// The value of a metric whose line begins with `name`.
fn metric(text: &str, name: &str) -> Result<u64> {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit(' ').next()).with_context(|| name.to_owned())?;
    value.parse().with_context(|| format!("{name} is {value}"))
}

/// No thread of the process has more capabilities than NET_ADMIN and NET_RAW. One that began
/// before they were dropped may still be ending.
fn only_what_is_needed_is_kept(pid: u32) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look_at_capabilities(pid) {
            Err(_) if Instant::now() < deadline => std::thread::yield_now(),
            result => return result,
        }
    }
}

fn look_at_capabilities(pid: u32) -> Result<()> {
    const NET_ADMIN_AND_RAW: u64 = 1 << 12 | 1 << 13;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = std::fs::read_to_string(task?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("CapPrm:"));
        let held = u64::from_str_radix(line.context("no CapPrm")?.trim(), 16)?;
        ensure!(held & !NET_ADMIN_AND_RAW == 0, "a thread keeps {held:x}:\n{status}");
    }
    Ok(())
}

#[test]
fn an_operator_is_told_what_happens() -> Result<()> {
    if !has_root("an_operator_is_told_what_happens") {
        return Ok(());
    }
    let lab = Lab::new("lb_admin")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let gateway = format!("[gateway]\nname = \"gw1\"\nmetrics = \"{METRICS}\"\n");
    let web = service(seed::VIPS[0], &seed::SERVERS, "{ port = 80 }");
    let appliance = Appliance::start(&net.gateway, &(gateway + &ports(&seed::PORTS) + &web))?;
    let mode = std::fs::metadata(appliance.socket_path())?.permissions().mode() & 0o777;
    ensure!(mode == 0o660, "the admin socket has mode {mode:o}");

    only_what_is_needed_is_kept(appliance.process()?.pid())?;

    let urls = vec![format!("http://{}/", seed::VIPS[0]); REQUESTS];
    let answers = curl::get(&net.client, &urls)?;
    ensure!(answers.iter().all(curl::Answer::is_good), "{answers:?}");

    let services = appliance.json(&net.gateway, &["services"])?;
    ensure!(services[0]["flows_total"] == REQUESTS, "{services}");
    let flows = appliance.json(&net.gateway, &["flows", "--service", SERVICE])?;
    let flows = flows.as_array().context("flows is no list")?;
    ensure!(flows.len() == REQUESTS, "{flows:?}");
    let vip = format!("{}:80", seed::VIPS[0]);
    ensure!(flows.iter().all(|flow| flow["vip"] == vip && flow["service"] == SERVICE), "{flows:?}");
    let one = appliance.json(&net.gateway, &["flows", "--limit", "1"])?;
    ensure!(one.as_array().is_some_and(|flows| flows.len() == 1), "{one}");
    let none = appliance.json(&net.gateway, &["flows", "--service", "other"])?;
    ensure!(none.as_array().is_some_and(Vec::is_empty), "{none}");

    let status = appliance.json(&net.gateway, &["status"])?;
    ensure!(status["gateway"] == "gw1" && status["last_reload"]["ok"] == true, "{status}");
    ensure!(status["workers"][0]["core"].is_u64(), "the worker is pinned: {status}");
    let human = appliance.cli(&net.gateway, &["status"])?.ok()?;
    ensure!(human.contains("gw1") && human.contains("ens5"), "{human}");

    let url = format!("http://{METRICS}/metrics");
    let text = net.gateway.run("curl", &["--silent", "--fail", &url])?.ok()?;
    ensure!(
        metric(&text, &format!("portreeve_service_flows_total{{service=\"{SERVICE}\""))?
            == REQUESTS as u64
    );
    ensure!(metric(&text, "portreeve_rx_packets_total{port=\"ens5\"}")? > REQUESTS as u64);
    ensure!(text.contains("portreeve_drops_total{reason=\"no_route\"} 0"), "{text}");
    ensure!(text.trim_end().ends_with("# EOF"), "OpenMetrics ends with EOF: {text}");
    Ok(())
}
