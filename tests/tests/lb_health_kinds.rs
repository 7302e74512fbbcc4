//! Checks by ping and by a plain connection, of services that are not HTTP, in both families.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::ports;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::sniffer::{Sniffer, addresses};
use serde_json::Value;

const INTERVAL: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients of different ports, of which each server gets some.
const FLOWS: usize = 24;

fn config(kinds: [&str; 2]) -> String {
    let mut text = ports(&seed::PORTS);
    let families = [(seed::VIPS, seed::SERVERS), (seed::VIPS_V6, seed::SERVERS_V6)];
    for (vips, servers) in families {
        for (vip, kind) in vips.iter().zip(kinds) {
            let name = vip.replace(':', ".");
            text += &format!(
                "[[service]]\nname = \"s{name}\"\nvip = \"{vip}\"\n\
                 ports = [{{ port = {}, protocol = \"udp\" }}]\nbackends = {servers:?}\n\
                 health = {{ {kind}, interval = \"{}ms\", timeout = \"150ms\", fall = 2 }}\n",
                seed::ECHO,
                INTERVAL.as_millis(),
            );
        }
    }
    text
}

/// What the checks of each service say of its backends, in the order of the configuration.
fn standings(net: &SeedLab, appliance: &Appliance) -> Result<Vec<[String; 2]>> {
    let services = appliance.json(&net.gateway, &["services"])?;
    let all = services.as_array().context("services is no list")?.iter();
    let of = |backend: &Value| {
        backend["health"]["standing"].as_str().map(str::to_owned).context("no standing")
    };
    all.map(|s| Ok([of(&s["backends"][0])?, of(&s["backends"][1])?])).collect()
}

fn wait_for(net: &SeedLab, appliance: &Appliance, want: &[[&str; 2]]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = standings(net, appliance)?;
        if found == want {
            return Ok(());
        }
        let services = || appliance.cli(&net.gateway, &["services"]).map(|ran| ran.stdout);
        ensure!(Instant::now() < deadline, "{found:?}, not {want:?}: {}", services()?);
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How many of some new flows are answered.
fn answered(client: &Host, vip: &str) -> Result<usize> {
    let to = SocketAddr::new(vip.parse()?, seed::ECHO);
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let mut count = 0;
    for _ in 0..FLOWS {
        let socket = client.enter(|| UdpSocket::bind((any, 0)))??;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.send_to(b"?", to)?;
        count += usize::from(socket.recv(&mut [0; 8]).is_ok());
    }
    Ok(count)
}

/// Drops everything that comes to the first server, replies to its own packets included.
fn cut(server: &Host) -> Result<()> {
    let rules = "add table inet t; add chain inet t in { type filter hook input priority 0; }; \
                 add rule inet t in meta l4proto { tcp, udp, icmp } drop; \
                 add rule inet t in icmpv6 type { echo-request } drop";
    server.run("nft", &[rules])?.ok().map(drop)
}

#[test]
fn a_silent_host_is_found_out_by_ping_and_by_connection() -> Result<()> {
    if !has_root("a_silent_host_is_found_out_by_ping_and_by_connection") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_kinds")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let config = config(["kind = \"icmp\"", "kind = \"tcp\", port = 80"]);
    let appliance = Appliance::start(&net.gateway, &config)?;
    wait_for(&net, &appliance, &[["up", "up"]; 4])?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0], seed::VIPS[1], seed::VIPS_V6[1]] {
        ensure!(answered(&net.client, vip)? == FLOWS, "{vip} does not answer all");
    }
    cut(&net.servers[0])?;
    wait_for(&net, &appliance, &[["down", "up"]; 4])?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0], seed::VIPS[1], seed::VIPS_V6[1]] {
        ensure!(answered(&net.client, vip)? == FLOWS, "{vip} still uses what is down");
    }
    net.servers[0].run("nft", &["flush ruleset"])?.ok()?;
    wait_for(&net, &appliance, &[["up", "up"]; 4])
}

#[test]
fn a_backend_in_several_services_is_probed_once() -> Result<()> {
    if !has_root("a_backend_in_several_services_is_probed_once") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_once")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &config(["kind = \"icmp\""; 2]))?;
    wait_for(&net, &appliance, &[["up", "up"]; 4])?;
    let server: IpAddr = seed::SERVERS[0].parse()?;
    let asks = move |frame: &[u8]| {
        let request = frame.get(23) == Some(&1) && frame.get(34) == Some(&8);
        request && addresses(frame).is_some_and(|(_, to)| to == server)
    };
    let sniffer = Sniffer::start(&net.servers[0], "ens5", asks)?;
    let probes = || -> Result<u64> {
        let services = appliance.json(&net.gateway, &["services"])?;
        services[0]["backends"][0]["health"]["probes"].as_u64().context("no count of probes")
    };
    let before = probes()?;
    while probes()? < before + 10 {
        std::thread::sleep(INTERVAL / 4);
    }
    let (counted, seen) = (probes()? - before, sniffer.stop()?.matching);
    ensure!(seen.abs_diff(counted) <= 1, "{seen} echo requests for {counted} probes");
    // The two services of the family look at the same one.
    let services = appliance.json(&net.gateway, &["services"])?;
    let since = |at: usize| &services[at]["backends"][0]["health"]["since"];
    ensure!(since(0) == since(1), "{services}");
    Ok(())
}

/// Fields 14 and 15 of `stat`: time in user space and in the kernel, in ticks of 10 ms.
fn cpu_of_checks(pid: u32) -> Result<Duration> {
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = std::fs::read_to_string(task?.path().join("stat"))?;
        let Some((_, fields)) = stat.split_once("(health) ") else { continue };
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        return Ok(Duration::from_millis(ticks * 10));
    }
    anyhow::bail!("there is no thread of health checks")
}

#[test]
fn a_thousand_backends_are_checked_in_time() -> Result<()> {
    const BACKENDS: u64 = 1_000;
    if !has_root("a_thousand_backends_are_checked_in_time") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_many")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    // One server that answers at all of these addresses.
    net.servers[0].ip(&["route", "add", "local", "172.20.0.0/16", "dev", "lo"])?;
    net.gateway.route("172.20.0.0/16", seed::SERVERS[0])?;
    let backends: Vec<_> =
        (0..BACKENDS).map(|n| format!("172.20.{}.{}", n / 200, n % 200 + 1)).collect();
    let config = ports(&seed::PORTS)
        + &format!(
            "[[service]]\nname = \"many\"\nvip = \"{}\"\nports = [{{ port = 80 }}]\n\
             backends = {backends:?}\nhealth = {{ kind = \"tcp\", interval = \"1s\", \
             timeout = \"500ms\", fall = 2 }}\n",
            seed::VIPS[0]
        );
    let appliance = Appliance::start(&net.gateway, &config)?;
    let health =
        || -> Result<Value> { Ok(appliance.json(&net.gateway, &["status"])?["health"].clone()) };
    let wait = |which: &str, count: u64, limit: Duration| -> Result<()> {
        let begun = Instant::now();
        loop {
            let health: Value = health()?;
            if health[which] == count {
                println!("{count} {which} after {:?}", begun.elapsed());
                return Ok(());
            }
            ensure!(begun.elapsed() < limit, "not {count} {which} in {limit:?}: {health}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    wait("up", BACKENDS, Duration::from_secs(4))?;
    let pid = appliance.process()?.pid();
    let before = cpu_of_checks(pid)?;
    std::thread::sleep(Duration::from_secs(5));
    println!("five seconds of checks took {:?}", cpu_of_checks(pid)? - before);
    ensure!(health()?["up"] == BACKENDS, "some are not up: {}", health()?);

    // Two intervals and the timeout, and a second for a machine that is busy with the rest.
    cut(&net.servers[0])?;
    wait("down", BACKENDS, Duration::from_millis(3_500))?;
    ensure!(health()?["panics_total"] == 1, "{}", health()?);
    net.servers[0].run("nft", &["flush ruleset"])?.ok()?;
    wait("up", BACKENDS, Duration::from_secs(5))
}
