//! Links of different MTU: what is too big for the way on is refused or cut, and arrives whole.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::server::noise;
use portreeve_tests::skip::has_root;
use portreeve_tests::snmp::KernelCounters;
use portreeve_tests::traffic;
use portreeve_tests::upload::upload;

const JUMBO: u32 = 9_001;
/// A VIP of each family, with the server behind it.
const FAMILIES: [(&str, &str); 2] =
    [(seed::VIPS[0], seed::SERVERS[0]), (seed::VIPS_V6[0], seed::SERVERS_V6[0])];
const UPLOAD: u64 = 1_000_000;
const UPLOAD_PORT: u16 = 9_000;
const SINK_PORT: u16 = 9_001;
const LARGE: usize = 4_000;

/// The client and, of its own link's end, the server take 9001 bytes, so that no MSS helps; only
/// the gateway knows that its link to the server takes 1500.
fn narrow(lab: &Lab) -> Result<SeedLab> {
    let net = SeedLab::build(lab, LinkOptions::default())?;
    let [server, _] = &net.servers;
    let ends = [(&net.client, "ens5"), (&net.gateway, seed::PORTS[0]), (server, "ens5")];
    for (host, port) in ends {
        host.ip(&["link", "set", port, "mtu", &JUMBO.to_string()])?;
    }
    Ok(net)
}

fn address(ip: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip.parse::<IpAddr>()?, port))
}

fn narrow_config() -> String {
    let both = r#"{ port = 9000 }, { port = 9001, protocol = "udp" }"#;
    let services = FAMILIES.map(|(vip, server)| service(vip, &[server], both));
    ports(&seed::PORTS) + &services.concat()
}

#[test]
fn an_upload_finds_the_mtu_of_the_servers_link() -> Result<()> {
    if !has_root("an_upload_finds_the_mtu_of_the_servers_link") {
        return Ok(());
    }
    let lab = Lab::new("lb_pmtu")?;
    let net = narrow(&lab)?;
    let appliance = Appliance::start(&net.gateway, &narrow_config())?;
    let before = KernelCounters::read(&net.gateway)?;
    let mut bytes = Vec::new();
    noise::write(UPLOAD, &mut bytes)?;
    let listener = net.servers[0].enter(|| TcpListener::bind(("::", UPLOAD_PORT)))??;
    for (vip, _) in FAMILIES {
        let target = address(vip, UPLOAD_PORT)?;
        let received = upload(&net.client, target, &listener, &bytes);
        let received = appliance.explain(&net.gateway, received)?;
        ensure!(received == bytes, "{} of {UPLOAD} bytes arrived, or others", received.len());
        let route = net.client.ip(&["route", "get", vip])?;
        ensure!(route.contains("mtu 1500"), "the client was not told the MTU: {route}");
    }
    let status = appliance.json(&net.gateway, &["status"])?;
    ensure!(status["drops"]["too_big"].as_u64() >= Some(2), "{}", status["drops"]);
    before.stood_by(&net.gateway)
}

#[test]
fn large_datagrams_that_may_be_fragmented_reach_the_server() -> Result<()> {
    if !has_root("large_datagrams_that_may_be_fragmented_reach_the_server") {
        return Ok(());
    }
    let lab = Lab::new("lb_fragments")?;
    let net = narrow(&lab)?;
    // Datagrams go without "don't fragment" then.
    net.client.sysctl("net.ipv4.ip_no_pmtu_disc", "1")?;
    let appliance = Appliance::start(&net.gateway, &narrow_config())?;
    let before = KernelCounters::read(&net.gateway)?;
    let (vip, server) = FAMILIES[0];
    let sink = net.servers[0].enter(|| UdpSocket::bind((server, SINK_PORT)))??;
    sink.set_read_timeout(Some(Duration::from_secs(10)))?;
    let socket = net.client.enter(|| UdpSocket::bind((seed::CLIENT, 0)))??;
    let mut buffer = vec![0; 65_536];
    for n in 0..50 {
        // Lengths on both sides of what fills its last fragment.
        let sent = traffic::payload(n, LARGE + n);
        socket.send_to(&sent, address(vip, SINK_PORT)?)?;
        let received = sink.recv(&mut buffer).with_context(|| format!("receive datagram {n}"));
        let length = appliance.explain(&net.gateway, received)?;
        ensure!(buffer[..length] == sent, "datagram {n} arrived altered, {length} bytes long");
    }
    let fragments =
        net.servers[0].enter(|| std::fs::read_to_string("/proc/thread-self/net/snmp"))??;
    ensure!(reassembled(&fragments) == Some(50), "{fragments}");
    before.stood_by(&net.gateway)
}

/// `Ip: ReasmOKs` of `/proc/net/snmp`.
fn reassembled(snmp: &str) -> Option<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Ip:"));
    let (names, values) = lines.next().zip(lines.next())?;
    let at = names.split_whitespace().position(|name| name == "ReasmOKs")?;
    values.split_whitespace().nth(at)?.parse().ok()
}
