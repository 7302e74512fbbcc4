//! The main promise: requests to VIPs are answered by the servers that Maglev picks, and no
//! kernel forwards in between.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::curl::{self, Answer};
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::model::{Backend, Protocol, Service};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::sniffer::{Capture, Sniffer, touches};
use portreeve_tests::snmp::KernelCounters;

/// Requests over all VIPs of a family.
const REQUESTS: usize = 2_000;
const CURLS: usize = 4;
const NAMES: [&str; 2] = ["webpod1", "webpod2"];

fn config() -> String {
    let mut text = String::new();
    for port in seed::PORTS {
        text += &format!("[[port]]\nname = \"{port}\"\n");
    }
    let families = [("", seed::VIPS, seed::SERVERS), ("-v6", seed::VIPS_V6, seed::SERVERS_V6)];
    for (suffix, vips, servers) in families {
        for (at, vip) in vips.iter().enumerate() {
            text += &format!(
                "[[service]]\nname = \"svc{}{suffix}\"\nvip = \"{vip}\"\n\
                 ports = [{{ port = 80, protocol = \"tcp\", target = 80 }}]\n\
                 backends = [\"{}\", \"{}\"]\n",
                at + 1,
                servers[0],
                servers[1]
            );
        }
    }
    text
}

fn url(vip: &str) -> String {
    if vip.contains(':') { format!("http://[{vip}]/") } else { format!("http://{vip}/") }
}

/// The number of slots that the appliance says its services have, all of them equally.
fn table_size(services: &serde_json::Value) -> Result<u64> {
    let services = services.as_array().context("services is no list")?;
    let size = |service: &serde_json::Value| service["table_size"].as_u64();
    let first = services.first().and_then(size).context("no table_size")?;
    ensure!(services.len() == 6, "{} services, not 6", services.len());
    ensure!(services.iter().all(|service| size(service) == Some(first)), "{services:?}");
    Ok(first)
}

fn model(size: u64, servers: [&str; 2]) -> Result<(Service, BTreeMap<SocketAddr, &'static str>)> {
    let mut names = BTreeMap::new();
    let mut backends = Vec::new();
    for (server, name) in servers.iter().zip(NAMES) {
        let target = SocketAddr::new(server.parse().context("address of a server")?, seed::HTTP);
        names.insert(target, name);
        backends.push(Backend { target, weight: 100 });
    }
    Ok((Service::new(Protocol::Tcp, seed::HTTP, size, &backends), names))
}

/// Sniffers at the servers' ends of their links, for packets that carry a client address.
fn sniff_servers(net: &SeedLab) -> Result<Vec<Sniffer>> {
    let clients = seed::client_addresses();
    let start = |server| {
        let clients = clients.clone();
        Sniffer::start(server, "ens5", move |frame| touches(frame, &clients))
    };
    net.servers.iter().map(start).collect()
}

fn spread_is_even(answers: &[Answer], tolerance: f64) -> Result<()> {
    let even = answers.len() as f64 / NAMES.len() as f64;
    for name in NAMES {
        let got = answers.iter().filter(|answer| answer.hostname == name).count() as f64;
        let off = (got - even).abs() / even;
        ensure!(off <= tolerance, "{name} answered {got} of {}: {off:.3} off even", answers.len());
    }
    Ok(())
}

fn kernel_stood_by(before: KernelCounters, net: &SeedLab) -> Result<()> {
    let after = KernelCounters::read(&net.gateway)?;
    ensure!(before == after, "the gateway's kernel took part: {before:?}, then {after:?}");
    Ok(())
}

fn nobody_saw_the_client(captures: &[Capture]) -> Result<()> {
    for capture in captures {
        ensure!(capture.frames > 100, "the sniffer saw no traffic: {capture:?}");
        ensure!(capture.matching == 0, "the client's address reached a server: {capture:?}");
    }
    Ok(())
}

fn requests_reach_the_predicted_servers(vips: [&str; 3], servers: [&str; 2]) -> Result<()> {
    let lab = Lab::new("lb_basic")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &config())?;
    let services = appliance.json(&net.gateway, &["services"])?;
    let size = table_size(&services)?;
    let (service, names) = model(size, servers)?;

    let sniffers = sniff_servers(&net)?;
    let before = KernelCounters::read(&net.gateway)?;
    let urls: Vec<_> = (0..REQUESTS).map(|at| url(vips[at % vips.len()])).collect();
    let answers = curl::get_parallel(&net.client, &urls, CURLS)?;

    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).take(5).collect();
    ensure!(failed.is_empty(), "requests failed: {failed:?}\n{}", appliance.log());
    for answer in &answers {
        let client = answer.client.context("curl did not say where it asked from")?;
        let predicted = names[&service.backend_of(client)];
        ensure!(answer.hostname == predicted, "{answer:?}, but Maglev says {predicted}");
    }
    spread_is_even(&answers, 0.1)?;
    for vip in vips {
        let of_vip: IpAddr = vip.parse()?;
        let own: Vec<_> = answers.iter().filter(|a| a.remote == Some(of_vip)).cloned().collect();
        ensure!(own.len() >= REQUESTS / vips.len(), "{vip} got {} requests", own.len());
        spread_is_even(&own, 0.2)?;
    }
    kernel_stood_by(before, &net)?;
    let captures = sniffers.into_iter().map(Sniffer::stop).collect::<Result<Vec<_>>>()?;
    nobody_saw_the_client(&captures)
}

#[test]
fn requests_reach_the_predicted_servers_in_ipv4() -> Result<()> {
    if !has_root("requests_reach_the_predicted_servers_in_ipv4") {
        return Ok(());
    }
    requests_reach_the_predicted_servers(seed::VIPS, seed::SERVERS)
}

#[test]
fn requests_reach_the_predicted_servers_in_ipv6() -> Result<()> {
    if !has_root("requests_reach_the_predicted_servers_in_ipv6") {
        return Ok(());
    }
    requests_reach_the_predicted_servers(seed::VIPS_V6, seed::SERVERS_V6)
}

#[test]
fn vips_answer_ping_and_have_the_mac_of_the_port() -> Result<()> {
    if !has_root("vips_answer_ping_and_have_the_mac_of_the_port") {
        return Ok(());
    }
    let lab = Lab::new("lb_ping")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &config())?;
    let own = net.gateway_mac(seed::PORTS[0])?;
    let before = KernelCounters::read(&net.gateway)?;
    for vip in seed::VIPS.iter().chain(&seed::VIPS_V6) {
        let ping = net.client.run("ping", &["-c", "5", "-i", "0.05", "-W", "2", vip])?;
        let text = ping.ok().with_context(|| appliance.log())?;
        ensure!(text.contains(" 0% packet loss"), "{text}");
        let learnt = net.client.neighbour(vip)?;
        ensure!(learnt.as_ref() == Some(&own), "{vip} is at {learnt:?}, the port is {own}");
    }
    kernel_stood_by(before, &net)
}

#[test]
fn the_hosts_own_addresses_still_answer() -> Result<()> {
    if !has_root("the_hosts_own_addresses_still_answer") {
        return Ok(());
    }
    let lab = Lab::new("lb_host")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let _appliance = Appliance::start(&net.gateway, &config())?;
    for address in ["10.10.200.5", "fd00:10:10:200::5", "172.16.1.1"] {
        let ping = net.client.run("ping", &["-c", "2", "-i", "0.05", "-W", "2", address])?;
        ping.ok().with_context(|| format!("the gateway's own {address}"))?;
    }
    let listener = net.gateway.enter(|| std::net::TcpListener::bind("10.10.200.5:22"))??;
    let client = net.client.enter(|| std::net::TcpStream::connect("10.10.200.5:22"))?;
    client.context("connect to the gateway itself")?;
    listener.accept().context("accept on the gateway itself")?;
    Ok(())
}
