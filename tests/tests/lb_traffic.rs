//! What clients send and servers answer arrives, whole and in quantity: downloads, many
//! connections at once, datagrams, over one and several queues, small and jumbo links, and routers.
//! Offloads are as the kernel sets them.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::converse::converse;
use portreeve_tests::curl;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::server::Server;
use portreeve_tests::skip::has_root;
use portreeve_tests::snmp::KernelCounters;
use portreeve_tests::traffic;

const REQUESTS: usize = 200;
const DOWNLOAD: u64 = 200_000_000;
const CONNECTIONS: usize = 500;
const DATAGRAMS: usize = 10_000;
const DATAGRAMS_PER_SECOND: u32 = 5_000;
const DATAGRAM_MAX: usize = 1_400;
const JUMBO: u32 = 9_001;

/// A VIP of each family, with the servers behind it.
const FAMILIES: [(&str, [&str; 2]); 2] =
    [(seed::VIPS[0], seed::SERVERS), (seed::VIPS_V6[0], seed::SERVERS_V6)];

/// "None lost" holds on a machine that has the time: the tests of this file take turns.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn config() -> String {
    let both = r#"{ port = 80 }, { port = 7, protocol = "udp" }"#;
    let services = FAMILIES.map(|(vip, servers)| service(vip, &servers, both));
    ports(&seed::PORTS) + &services.concat()
}

fn address(ip: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip.parse::<IpAddr>()?, port))
}

fn requests(client: &Host, target: SocketAddr) -> Result<()> {
    let urls = vec![format!("http://{target}/"); REQUESTS];
    let answers = curl::get_parallel(client, &urls, 2)?;
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).take(5).collect();
    ensure!(failed.is_empty(), "requests failed: {failed:?}");
    Ok(())
}

fn download(client: &Host, target: SocketAddr, expected: &str) -> Result<()> {
    let (digest, took) = traffic::download(client, &format!("http://{target}/data/{DOWNLOAD}"))?;
    ensure!(digest == expected, "{DOWNLOAD} bytes from {target} arrived as {digest}");
    let rate = DOWNLOAD as f64 / 1e6 / took.as_secs_f64();
    println!("{target}: {DOWNLOAD} bytes in {took:.1?}, {rate:.0} MB/s");
    Ok(())
}

fn datagrams(client: &Host, target: SocketAddr) -> Result<()> {
    let echoed = traffic::echo(client, target, DATAGRAMS, DATAGRAM_MAX, DATAGRAMS_PER_SECOND)?;
    let rate = echoed.sent as f64 / echoed.took.as_secs_f64();
    println!("{target}: {} datagrams echoed at {rate:.0}/s", echoed.intact);
    ensure!(echoed.intact == DATAGRAMS && echoed.strange == 0, "{target}: {echoed:?}");
    ensure!(rate > 0.8 * f64::from(DATAGRAMS_PER_SECOND), "only {rate:.0} datagrams/s were sent");
    Ok(())
}

/// Requests, a download and datagrams of both families.
fn everything_arrives(options: LinkOptions) -> Result<()> {
    let lab = Lab::new("lb_traffic")?;
    let net = SeedLab::build(&lab, options)?;
    let appliance = Appliance::start(&net.gateway, &config())?;
    let status = appliance.json(&net.gateway, &["status"])?;
    for port in status["ports"].as_array().context("no ports")? {
        ensure!(port["queues"] == options.queues, "{port} does not serve {options:?}");
    }
    let expected = traffic::expected_sha256(DOWNLOAD)?;
    let before = KernelCounters::read(&net.gateway)?;
    for (vip, _) in FAMILIES {
        let run = || {
            requests(&net.client, address(vip, seed::HTTP)?).context("requests")?;
            download(&net.client, address(vip, seed::HTTP)?, &expected).context("download")?;
            datagrams(&net.client, address(vip, seed::ECHO)?).context("datagrams")
        };
        appliance.explain(&net.gateway, run())?;
    }
    let status = appliance.json(&net.gateway, &["status"])?;
    let mean = mean_from_servers(&status)?;
    ensure!(mean > 1_514 || options.mtu < JUMBO, "no jumbo frames came: {mean} bytes each");
    before.stood_by(&net.gateway)
}

/// Bytes of a frame from the servers, on average.
fn mean_from_servers(status: &serde_json::Value) -> Result<u64> {
    let ports = status["ports"].as_array().context("no ports")?;
    let sum = |what: &str| ports[1..].iter().filter_map(|port| port[what].as_u64()).sum::<u64>();
    sum("rx_bytes").checked_div(sum("rx_packets")).context("no packets from servers")
}

#[test]
fn everything_arrives_over_one_queue() -> Result<()> {
    if !has_root("everything_arrives_over_one_queue") {
        return Ok(());
    }
    let _turn = turn();
    everything_arrives(LinkOptions::default())
}

#[test]
fn everything_arrives_over_four_queues() -> Result<()> {
    if !has_root("everything_arrives_over_four_queues") {
        return Ok(());
    }
    let _turn = turn();
    everything_arrives(LinkOptions { queues: 4, ..LinkOptions::default() })
}

#[test]
fn everything_arrives_over_jumbo_links() -> Result<()> {
    if !has_root("everything_arrives_over_jumbo_links") {
        return Ok(());
    }
    let _turn = turn();
    everything_arrives(LinkOptions { mtu: JUMBO, ..LinkOptions::default() })
}

#[test]
fn everything_arrives_over_four_queues_of_jumbo_links() -> Result<()> {
    if !has_root("everything_arrives_over_four_queues_of_jumbo_links") {
        return Ok(());
    }
    let _turn = turn();
    everything_arrives(LinkOptions { mtu: JUMBO, queues: 4 })
}

#[test]
fn five_hundred_connections_are_open_at_once() -> Result<()> {
    if !has_root("five_hundred_connections_are_open_at_once") {
        return Ok(());
    }
    let _turn = turn();
    let lab = Lab::new("lb_500")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &config())?;
    let before = KernelCounters::read(&net.gateway)?;
    for (vip, _) in FAMILIES {
        let target = address(vip, seed::HTTP)?;
        let conversed = net.client.enter(|| converse(target, CONNECTIONS))?;
        appliance.explain(&net.gateway, conversed)?;
    }
    before.stood_by(&net.gateway)
}

/// client - gateway - router - server: addresses of both ends of each link.
const ROUTED_VIPS: [&str; 2] = ["10.1.0.100", "fd00:1::100"];
const ROUTED_SERVERS: [&str; 2] = ["10.3.0.2", "fd00:3::2"];

struct Routed {
    client: Host,
    gateway: Host,
    _router: Host,
    _server: Host,
    _process: Server,
}

fn routed(lab: &Lab) -> Result<Routed> {
    let [client, gateway] = [lab.host("client")?, lab.host("gateway")?];
    let [router, server] = [lab.host("router")?, lab.host("server")?];
    let options = LinkOptions::default();
    for (net, left, left_port, right, right_port) in [
        (1, &client, "ens5", &gateway, "ens5"),
        (2, &gateway, "ens6", &router, "ens5"),
        (3, &router, "ens6", &server, "ens5"),
    ] {
        lab.link(left, left_port, right, right_port, options)?;
        for (host, port, end) in [(left, left_port, 1), (right, right_port, 2)] {
            host.address(port, &format!("10.{net}.0.{end}/24"))?;
            host.address(port, &format!("fd00:{net}::{end}/64"))?;
        }
    }
    for (host, via) in [(&client, ["10.1.0.2", "fd00:1::2"]), (&server, ["10.3.0.1", "fd00:3::1"])]
    {
        via.iter().try_for_each(|via| host.route("default", via))?;
    }
    gateway.route("10.3.0.0/24", "10.2.0.2")?;
    gateway.route("fd00:3::/64", "fd00:2::2")?;
    gateway.forward()?;
    router.forward()?;
    let process = Server::start(&server, &[8_080], &[7_007])?;
    Ok(Routed { client, gateway, _router: router, _server: server, _process: process })
}

#[test]
fn backends_behind_a_router_on_other_ports_are_reached() -> Result<()> {
    if !has_root("backends_behind_a_router_on_other_ports_are_reached") {
        return Ok(());
    }
    let _turn = turn();
    let lab = Lab::new("lb_routed")?;
    let net = routed(&lab)?;
    let mut config = ports(&["ens5", "ens6"]);
    for (vip, server) in ROUTED_VIPS.iter().zip(ROUTED_SERVERS) {
        let both =
            r#"{ port = 80, target = 8080 }, { port = 53, protocol = "udp", target = 7007 }"#;
        config += &service(vip, &[server], both);
    }
    let appliance = Appliance::start(&net.gateway, &config)?;
    let before = KernelCounters::read(&net.gateway)?;
    for vip in ROUTED_VIPS {
        let run = || {
            requests(&net.client, address(vip, 80)?).context("requests")?;
            datagrams(&net.client, address(vip, 53)?).context("datagrams")
        };
        appliance.explain(&net.gateway, run())?;
    }
    before.stood_by(&net.gateway)
}
