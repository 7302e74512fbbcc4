//! What networks do to packets: datagrams in pieces, links narrower than both ends, errors of routers.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::chain::{self, Chain};
use portreeve_tests::config::{ports, service};
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::server::noise;
use portreeve_tests::skip::has_root;
use portreeve_tests::snmp::KernelCounters;
use portreeve_tests::traffic;
use portreeve_tests::upload::upload;

const BOTH: &str = r#"{ port = 80 }, { port = 7, protocol = "udp" }, { port = 9000 }, { port = 9, protocol = "udp" }"#;
const LARGE: usize = 4_000;
/// One of each length.
const DATAGRAMS: usize = LARGE;
const PER_SECOND: u32 = 2_000;
const NARROW: u32 = 1_400;
const DOWNLOAD: u64 = 5_000_000;
const UPLOAD: u64 = 2_000_000;
const UPLOAD_PORT: u16 = 9_000;
/// A black hole is found by retransmission alone: that takes many seconds, not one.
const QUICK: Duration = Duration::from_secs(5);

fn socket(ip: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip.parse::<IpAddr>()?, port))
}

fn seed_config(workers: u32, mode: &str) -> String {
    let service = |vip, servers: &[&str]| service(vip, servers, BOTH) + mode;
    format!("[worker]\ncount = {workers}\n")
        + &ports(&seed::PORTS)
        + &service(seed::VIPS[0], &seed::SERVERS)
        + &service(seed::VIPS_V6[0], &seed::SERVERS_V6)
}

/// Datagrams of up to 4 000 bytes, there and back, in both families.
fn large_datagrams(workers: u32, mode: &str) -> Result<()> {
    let lab = Lab::new("lb_fragments")?;
    let net = SeedLab::build(&lab, LinkOptions { mtu: 1_500, queues: workers })?;
    let appliance = Appliance::start(&net.gateway, &seed_config(workers, mode))?;
    let before = KernelCounters::read(&net.gateway)?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
        let target = socket(vip, seed::ECHO)?;
        // The first one finds the client's link address: only few frames wait for that at once.
        traffic::echo(&net.client, target, 1, LARGE, PER_SECOND)?;
        let echoed = traffic::echo(&net.client, target, DATAGRAMS, LARGE, PER_SECOND);
        let echoed = appliance.explain(&net.gateway, echoed)?;
        let whole = echoed.intact == DATAGRAMS && echoed.strange == 0;
        let outcome = if whole { Ok(()) } else { Err(anyhow::anyhow!("{vip}: {echoed:?}")) };
        appliance.explain(&net.gateway, outcome)?;
    }
    let joined = net.client.enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))??;
    ensure!(reassembled(&joined) > Some(DATAGRAMS as u64 / 2), "answers came whole: {joined}");
    before.stood_by(&net.gateway)
}

#[test]
fn large_datagrams_pass_both_ways() -> Result<()> {
    if !has_root("large_datagrams_pass_both_ways") {
        return Ok(());
    }
    large_datagrams(1, "").context("one worker")
}

#[test]
fn large_datagrams_pass_both_ways_with_two_workers() -> Result<()> {
    if !has_root("large_datagrams_pass_both_ways_with_two_workers") {
        return Ok(());
    }
    large_datagrams(2, "").context("two workers")
}

#[test]
fn large_datagrams_pass_both_ways_in_mode_nat() -> Result<()> {
    if !has_root("large_datagrams_pass_both_ways_in_mode_nat") {
        return Ok(());
    }
    large_datagrams(2, "mode = \"nat\"\n").context("mode nat")
}

/// `Ip: ReasmOKs` of `/proc/net/snmp`.
fn reassembled(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Ip:"));
    let (names, values) = lines.next().zip(lines.next())?;
    let at = names.split_whitespace().position(|name| name == "ReasmOKs")?;
    values.split_whitespace().nth(at)?.parse().ok()
}

fn chain_config() -> String {
    let services = chain::VIPS.iter().zip(chain::SERVERS);
    let services = services.map(|(vip, server)| service(vip, &[server], BOTH));
    ports(&chain::PORTS) + &services.collect::<String>()
}

/// The server fills its packets for its own link; a router of the client's has a narrower one.
#[test]
fn a_download_finds_a_narrow_link_of_the_client() -> Result<()> {
    if !has_root("a_download_finds_a_narrow_link_of_the_client") {
        return Ok(());
    }
    let lab = Lab::new("lb_pmtu_down")?;
    let net = Chain::build(&lab, chain::INNER[0], NARROW)?;
    let appliance = Appliance::start(net.gateway(), &chain_config())?;
    let before = KernelCounters::read(net.gateway())?;
    for (vip, source) in chain::VIPS.iter().zip(chain::SOURCES) {
        let url = format!("http://{}/data/{DOWNLOAD}", socket(vip, seed::HTTP)?);
        let loaded = appliance.explain(net.gateway(), traffic::download(net.client(), &url))?;
        ensure!(loaded.0 == traffic::expected_sha256(DOWNLOAD)?, "the download came damaged");
        ensure!(loaded.1 < QUICK, "the download took {:?}", loaded.1);
        let route = net.server().ip(&["route", "get", source])?;
        ensure!(route.contains("mtu 1400"), "the server was not told the MTU: {route}");
    }
    before.stood_by(net.gateway())
}

/// The other way round: the client is told of a link behind the gateway.
#[test]
fn an_upload_finds_a_narrow_link_of_the_server() -> Result<()> {
    if !has_root("an_upload_finds_a_narrow_link_of_the_server") {
        return Ok(());
    }
    let lab = Lab::new("lb_pmtu_up")?;
    let net = Chain::build(&lab, chain::INNER[1], NARROW)?;
    let appliance = Appliance::start(net.gateway(), &chain_config())?;
    let before = KernelCounters::read(net.gateway())?;
    let mut bytes = Vec::new();
    noise::write(UPLOAD, &mut bytes)?;
    let listener = net.server().enter(|| TcpListener::bind(("::", UPLOAD_PORT)))??;
    for vip in chain::VIPS {
        let begun = std::time::Instant::now();
        let received = upload(net.client(), socket(vip, UPLOAD_PORT)?, &listener, &bytes);
        let received = appliance.explain(net.gateway(), received)?;
        ensure!(received == bytes, "{} of {UPLOAD} bytes arrived, or others", received.len());
        ensure!(begun.elapsed() < QUICK, "the upload took {:?}", begun.elapsed());
        let route = net.client().ip(&["route", "get", vip])?;
        ensure!(route.contains("mtu 1400"), "the client was not told the MTU: {route}");
    }
    before.stood_by(net.gateway())
}

/// The addresses that `traceroute` prints, hop by hop.
fn hops(output: &str) -> Vec<&str> {
    let rows = output.lines().filter(|line| !line.starts_with("traceroute"));
    rows.filter_map(|row| row.split_whitespace().nth(1)).collect()
}

#[test]
fn traceroute_sees_our_port_and_then_the_vip() -> Result<()> {
    if !has_root("traceroute_sees_our_port_and_then_the_vip") {
        return Ok(());
    }
    let lab = Lab::new("lb_traceroute")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &seed_config(1, ""))?;
    let places = [(seed::VIPS[0], "10.10.200.5"), (seed::VIPS_V6[0], "fd00:10:10:200::5")];
    for (vip, port) in places {
        // A port that answers, and one behind which nobody listens: the server itself refuses.
        for probe in [&["-T", "-p", "80"][..], &["-U", "-p", "7"], &["-U", "-p", "9"]] {
            let args = [&["-n", "-q", "1", "-w", "2", "-m", "5"], probe, &[vip]].concat();
            let seen = net.client.run("traceroute", &args)?.ok();
            let seen = appliance.explain(&net.gateway, seen)?;
            ensure!(hops(&seen) == [port, vip], "{probe:?}:\n{seen}");
        }
    }
    Ok(())
}

/// Routers behind the VIP do not show, on their way back their errors are the VIP's.
#[test]
fn traceroute_sees_no_routers_behind_the_vip() -> Result<()> {
    if !has_root("traceroute_sees_no_routers_behind_the_vip") {
        return Ok(());
    }
    let lab = Lab::new("lb_traceroute_chain")?;
    let net = Chain::build(&lab, chain::INNER[0], 1_500)?;
    let appliance = Appliance::start(net.gateway(), &chain_config())?;
    for (vip, path) in chain::VIPS.iter().zip([
        ["10.77.0.2", "10.77.1.2", "10.77.2.2"],
        ["fd00:77::2", "fd00:77:1::2", "fd00:77:2::2"],
    ]) {
        let args = ["-n", "-q", "1", "-w", "2", "-m", "8", "-T", "-p", "80", vip];
        let seen = net.client().run("traceroute", &args)?.ok();
        let seen = appliance.explain(net.gateway(), seen)?;
        let hops = hops(&seen);
        ensure!(hops.starts_with(&path), "{seen}");
        let behind = &hops[path.len()..];
        ensure!(!behind.is_empty() && behind.iter().all(|hop| hop == vip), "{seen}");
    }
    Ok(())
}
