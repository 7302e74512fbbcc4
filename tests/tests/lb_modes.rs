//! Modes `nat` and `dsr-l2` with real clients and servers: the server sees its client, hairpin
//! clients are served all the same, and connections outlive the process.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use nix::sys::socket::{getsockopt, sockopt};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::ports;
use portreeve_tests::connections::Connection;
use portreeve_tests::curl::{self, Answer};
use portreeve_tests::flat::{self, FlatLab};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::pushed::Pushed;
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::snmp::KernelCounters;
use portreeve_tests::traffic;

const REQUESTS: usize = 200;
const DOWNLOAD: u64 = 50_000_000;
/// Long enough to be killed in its middle.
const LONG_DOWNLOAD: u64 = 400_000_000;
const BEGUN: u64 = 1_000_000;
const DATAGRAMS: usize = 2_000;
const DATAGRAMS_PER_SECOND: u32 = 4_000;
const SOON: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);
/// What the servers have as their router where the test says so, by server and family.
const ROUTERS: [[&str; 2]; 2] =
    [["172.16.1.254", "fd00:172:16:1::fe"], ["172.16.2.254", "fd00:172:16:2::fe"]];

/// A service with HTTP and echo; `more` are lines of its own.
fn service(name: &str, vip: &str, backends: &[&str], more: &str) -> String {
    let backends: Vec<_> = backends.iter().map(|backend| format!("\"{backend}\"")).collect();
    format!(
        "[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\n{more}\n\
         ports = [{{ port = {} }}, {{ port = {}, protocol = \"udp\" }}]\nbackends = [{}]\n",
        seed::HTTP,
        seed::ECHO,
        backends.join(", ")
    )
}

fn nat_config() -> String {
    let v4 = service("v4", seed::VIPS[0], &seed::SERVERS, "mode = \"nat\"");
    let v6 = service("v6", seed::VIPS_V6[0], &seed::SERVERS_V6, "mode = \"nat\"");
    ports(&seed::PORTS) + &v4 + &v6
}

fn dsr_config() -> String {
    let services =
        flat::VIPS.iter().zip(flat::SERVERS).enumerate().map(|(at, (vip, servers))| {
            service(&format!("s{at}"), vip, &servers, "mode = \"dsr-l2\"")
        });
    ports(&[flat::PORT]) + &services.collect::<String>()
}

fn socket(ip: &str, port: u16) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ip.parse::<IpAddr>()?, port))
}

/// Requests that all succeed.
fn requests(client: &Host, vip: &str) -> Result<Vec<Answer>> {
    let url = format!("http://{}/", socket(vip, seed::HTTP)?);
    let answers = curl::get_parallel(client, &vec![url; REQUESTS], 2)?;
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).take(5).collect();
    ensure!(failed.is_empty(), "requests failed: {failed:?}");
    Ok(answers)
}

fn names(answers: &[Answer]) -> BTreeSet<&str> {
    answers.iter().map(|answer| answer.hostname.as_str()).collect()
}

/// Requests, datagrams and a download; servers see the client, and both are used.
fn served_as_itself(client: &Host, vip: &str, digest: &str) -> Result<()> {
    let answers = requests(client, vip)?;
    let hidden = answers.iter().find(|answer| answer.seen != answer.client);
    ensure!(hidden.is_none(), "the server saw another client: {hidden:?}");
    ensure!(names(&answers).len() == 2, "one server only: {:?}", names(&answers));
    let target = socket(vip, seed::ECHO)?;
    let echoed = traffic::echo(client, target, DATAGRAMS, 1_400, DATAGRAMS_PER_SECOND)?;
    ensure!(echoed.intact == DATAGRAMS && echoed.strange == 0, "{target}: {echoed:?}");
    let url = format!("http://{}/data/{DOWNLOAD}", socket(vip, seed::HTTP)?);
    let (got, _) = traffic::download(client, &url)?;
    ensure!(got == digest, "{DOWNLOAD} bytes from {vip} arrived as {got}");
    Ok(())
}

fn flow_modes(appliance: &Appliance, host: &Host) -> Result<BTreeMap<String, usize>> {
    let flows = appliance.json(host, &["flows", "--limit", "1000"])?;
    let mut modes = BTreeMap::new();
    for flow in flows.as_array().context("flows is no list")? {
        let mode = flow["mode"].as_str().context("a flow without a mode")?;
        *modes.entry(mode.to_owned()).or_default() += 1;
    }
    Ok(modes)
}

fn drops(appliance: &Appliance, host: &Host, reason: &str) -> Result<u64> {
    let status = appliance.json(host, &["status"])?;
    status["drops"][reason].as_u64().with_context(|| format!("no count of {reason}"))
}

fn kill(appliance: &mut Appliance) -> Result<()> {
    appliance.signal(Signal::SIGKILL)?;
    appliance.wait_exit().map(drop)
}

/// Jumbo frames over several queues.
const WIDE: LinkOptions = LinkOptions { mtu: 9_001, queues: 4 };

#[test]
fn in_mode_nat_servers_see_their_clients_and_answer_through_a_router_address() -> Result<()> {
    let name = "in_mode_nat_servers_see_their_clients_and_answer_through_a_router_address";
    if !has_root(name) {
        return Ok(());
    }
    nat_serves(LinkOptions::default())
}

#[test]
fn in_mode_nat_so_they_do_over_four_queues_of_jumbo_links() -> Result<()> {
    if !has_root("in_mode_nat_so_they_do_over_four_queues_of_jumbo_links") {
        return Ok(());
    }
    nat_serves(WIDE)
}

fn nat_serves(options: LinkOptions) -> Result<()> {
    let lab = Lab::new("lb_nat")?;
    let net = SeedLab::build(&lab, options)?;
    let mut config = nat_config();
    for (router, port) in ROUTERS.iter().zip(&seed::PORTS[1..]) {
        for address in router {
            config += &format!("[[router]]\naddress = \"{address}\"\nannounce = [\"{port}\"]\n");
        }
    }
    let appliance = Appliance::start(&net.gateway, &config)?;
    for (server, routers) in net.servers.iter().zip(ROUTERS) {
        for router in routers {
            let family = if router.contains(':') { "-6" } else { "-4" };
            server.ip(&[family, "route", "replace", "default", "via", router])?;
            server.run("ping", &["-c", "1", "-W", "5", router])?.ok()?;
        }
    }
    let digest = traffic::expected_sha256(DOWNLOAD)?;
    let before = KernelCounters::read(&net.gateway)?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
        appliance.explain(&net.gateway, served_as_itself(&net.client, vip, &digest))?;
    }
    let modes = flow_modes(&appliance, &net.gateway)?;
    ensure!(modes.keys().eq(["nat"]), "{modes:?}");
    let services = appliance.json(&net.gateway, &["services"])?;
    ensure!(services[0]["mode"] == "nat", "{services}");
    ensure!(drops(&appliance, &net.gateway, "reply_ambiguous")? == 0, "a reply was ambiguous");
    before.stood_by(&net.gateway)
}

#[test]
fn what_a_nat_backend_does_besides_goes_its_way() -> Result<()> {
    if !has_root("what_a_nat_backend_does_besides_goes_its_way") {
        return Ok(());
    }
    let lab = Lab::new("lb_nat_besides")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let config =
        nat_config().replace("mode = \"nat\"", "mode = \"nat\"\nstateless_replies = false");
    let appliance = Appliance::start(&net.gateway, &config)?;
    // Past the VIP, to the very port that is a backend's: its answers come by us.
    for server in [seed::SERVERS[0], seed::SERVERS_V6[1]] {
        let answers = appliance.explain(&net.gateway, requests(&net.client, server))?;
        let hidden = answers.iter().find(|answer| answer.seen != answer.client);
        ensure!(hidden.is_none(), "{hidden:?}");
    }
    appliance.explain(&net.gateway, requests(&net.client, seed::VIPS[0]))?;
    Ok(())
}

#[test]
fn a_backend_that_is_a_client_is_served_in_mode_nat() -> Result<()> {
    if !has_root("a_backend_that_is_a_client_is_served_in_mode_nat") {
        return Ok(());
    }
    let lab = Lab::new("lb_nat_hairpin")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &nat_config())?;
    let own = ["172.16.1.1", "fd00:172:16:1::1"];
    let clients = [seed::SERVERS[0], seed::SERVERS_V6[0]];
    let before = KernelCounters::read(&net.gateway)?;
    for ((vip, own), client) in [seed::VIPS[0], seed::VIPS_V6[0]].iter().zip(own).zip(clients) {
        let answers = appliance.explain(&net.gateway, requests(&net.servers[0], vip))?;
        ensure!(names(&answers).len() == 2, "one server only: {:?}", names(&answers));
        for answer in answers {
            // To itself from our address; to the server on the other link from its own.
            let wanted = if answer.hostname == "webpod1" { own } else { client };
            let seen = answer.seen.map(|seen| seen.ip());
            ensure!(seen == Some(wanted.parse()?), "{answer:?}, not {wanted}");
        }
    }
    before.stood_by(&net.gateway)
}

#[test]
fn a_download_in_mode_nat_outlives_the_process() -> Result<()> {
    if !has_root("a_download_in_mode_nat_outlives_the_process") {
        return Ok(());
    }
    let lab = Lab::new("lb_nat_kill")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let mut appliance = Appliance::start(&net.gateway, &nat_config())?;
    let before = KernelCounters::read(&net.gateway)?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
        let pushed = Pushed::start(&net.client, socket(vip, seed::HTTP)?, LONG_DOWNLOAD)?;
        pushed.wait_for(BEGUN)?;
        kill(&mut appliance)?;
        let killed_at = pushed.arrived();
        ensure!(killed_at < LONG_DOWNLOAD, "it was over before the process was killed");
        appliance.restart(&net.gateway)?;
        appliance.explain(&net.gateway, pushed.finish())?;
        println!("{vip}: killed after {killed_at} of {LONG_DOWNLOAD} bytes, all arrived");
    }
    before.stood_by(&net.gateway)
}

#[test]
fn a_reply_of_two_services_waits_until_the_client_speaks() -> Result<()> {
    if !has_root("a_reply_of_two_services_waits_until_the_client_speaks") {
        return Ok(());
    }
    let lab = Lab::new("lb_nat_ambiguous")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let twin = service("twin", seed::VIPS[1], &seed::SERVERS, "mode = \"nat\"");
    let mut appliance = Appliance::start(&net.gateway, &(nat_config() + &twin))?;
    let log = appliance.log();
    ensure!(log.contains("reply_ambiguous"), "no warning at start:\n{log}");
    let target = socket(seed::VIPS[0], seed::HTTP)?;
    let mut pushed = Pushed::start(&net.client, target, LONG_DOWNLOAD)?;
    pushed.wait_for(BEGUN)?;
    kill(&mut appliance)?;
    appliance.restart(&net.gateway)?;
    let stopped_at = pushed.arrived();
    let deadline = Instant::now() + SOON;
    while drops(&appliance, &net.gateway, "reply_ambiguous")? == 0 {
        ensure!(Instant::now() < deadline, "nothing ambiguous came\n{}", appliance.log_tail());
        std::thread::sleep(LOOK);
    }
    ensure!(pushed.arrived() == stopped_at, "it went on by itself");
    pushed.speak()?;
    appliance.explain(&net.gateway, pushed.finish())
}

#[test]
fn in_mode_dsr_l2_servers_answer_their_clients_themselves() -> Result<()> {
    if !has_root("in_mode_dsr_l2_servers_answer_their_clients_themselves") {
        return Ok(());
    }
    dsr_serves(LinkOptions::default())
}

#[test]
fn in_mode_dsr_l2_so_they_do_over_four_queues_of_jumbo_links() -> Result<()> {
    if !has_root("in_mode_dsr_l2_so_they_do_over_four_queues_of_jumbo_links") {
        return Ok(());
    }
    dsr_serves(WIDE)
}

fn dsr_serves(options: LinkOptions) -> Result<()> {
    let lab = Lab::new("lb_dsr")?;
    let net = FlatLab::build(&lab, options)?;
    let appliance = Appliance::start(&net.gateway, &dsr_config())?;
    let digest = traffic::expected_sha256(DOWNLOAD)?;
    let before = KernelCounters::read(&net.gateway)?;
    for vip in flat::VIPS {
        appliance.explain(&net.gateway, served_as_itself(&net.client, vip, &digest))?;
    }
    let modes = flow_modes(&appliance, &net.gateway)?;
    ensure!(modes.keys().eq(["dsr-l2"]), "{modes:?}");
    let services = appliance.json(&net.gateway, &["services"])?;
    for service in services.as_array().context("services is no list")? {
        ensure!(service["mode"] == "dsr-l2" && service["packets_out"] == 0, "{service}");
        ensure!(service["packets_in"].as_u64() > Some(0), "{service}");
    }
    before.stood_by(&net.gateway)
}

#[test]
fn a_backend_that_is_a_client_is_served_in_mode_dsr_l2() -> Result<()> {
    if !has_root("a_backend_that_is_a_client_is_served_in_mode_dsr_l2") {
        return Ok(());
    }
    let lab = Lab::new("lb_dsr_hairpin")?;
    let net = FlatLab::build(&lab, LinkOptions::default())?;
    // Of VIPs that are on no loopback, or the packets would not leave the server at all.
    let vips = ["10.5.0.101", "fd00:5::101"];
    let services = vips.iter().zip(flat::SERVERS).enumerate().map(|(at, (vip, servers))| {
        service(&format!("own{at}"), vip, &servers[1..], "mode = \"dsr-l2\"")
    });
    let config = dsr_config() + &services.collect::<String>();
    let appliance = Appliance::start(&net.gateway, &config)?;
    for (vip, gateway) in vips.iter().zip(flat::GATEWAY) {
        let answers = appliance.explain(&net.gateway, requests(&net.servers[1], vip))?;
        let gateway: IpAddr = gateway.parse()?;
        let strange = answers.iter().find(|a| a.seen.map(|seen| seen.ip()) != Some(gateway));
        ensure!(strange.is_none(), "{strange:?}");
    }
    Ok(())
}

#[test]
fn a_download_in_mode_dsr_l2_outlives_the_process() -> Result<()> {
    if !has_root("a_download_in_mode_dsr_l2_outlives_the_process") {
        return Ok(());
    }
    let lab = Lab::new("lb_dsr_kill")?;
    let net = FlatLab::build(&lab, LinkOptions::default())?;
    let mut appliance = Appliance::start(&net.gateway, &dsr_config())?;
    for vip in flat::VIPS {
        let pushed = Pushed::start(&net.client, socket(vip, seed::HTTP)?, LONG_DOWNLOAD)?;
        pushed.wait_for(BEGUN)?;
        kill(&mut appliance)?;
        let killed_at = pushed.arrived();
        ensure!(killed_at < LONG_DOWNLOAD, "it was over before the process was killed");
        appliance.restart(&net.gateway)?;
        appliance.explain(&net.gateway, pushed.finish())?;
        println!("{vip}: killed after {killed_at} of {LONG_DOWNLOAD} bytes, all arrived");
    }
    Ok(())
}

/// Opens a connection to each of these, takes all but one server away, and asks again: those of the
/// servers that went are reset, the others go on.
fn only_removed_backends_reset(
    (client, gateway): (&Host, &Host),
    appliance: &Appliance,
    (vip, without): (&str, &str),
    stays: &str,
) -> Result<()> {
    let target = socket(vip, seed::HTTP)?;
    let mut open: Vec<_> =
        (0..20).map(|_| Connection::open(client, target)).collect::<Result<_>>()?;
    appliance.reload(without)?;
    let mut reset = 0;
    for connection in &mut open {
        match (connection.ask(), connection.server == stays) {
            (Ok(server), true) => ensure!(server == stays, "answered by {server}"),
            (Err(error), false) if error.kind() == ErrorKind::ConnectionReset => reset += 1,
            (other, _) => bail!("connection to {}: {other:?}", connection.server),
        }
    }
    ensure!((1..20).contains(&reset), "{reset} of 20 were reset");
    ensure!(drops(appliance, gateway, "removed")? >= reset, "not counted");
    Ok(())
}

#[test]
fn connections_of_a_removed_backend_are_reset_and_others_go_on() -> Result<()> {
    if !has_root("connections_of_a_removed_backend_are_reset_and_others_go_on") {
        return Ok(());
    }
    let lab = Lab::new("lb_modes_removed")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &nat_config())?;
    let one = nat_config().replace(&format!("\"{}\", ", seed::SERVERS[0]), "");
    let hosts = (&net.client, &net.gateway);
    let removed = only_removed_backends_reset(hosts, &appliance, (seed::VIPS[0], &one), "webpod2");
    appliance.explain(&net.gateway, removed)?;
    let net = FlatLab::build(&Lab::new("lb_dsr_removed")?, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &dsr_config())?;
    let one = dsr_config().replace(&format!("\"{}\", ", flat::SERVERS[1][0]), "");
    let hosts = (&net.client, &net.gateway);
    let removed = only_removed_backends_reset(hosts, &appliance, (flat::VIPS[1], &one), "webpod2");
    appliance.explain(&net.gateway, removed)
}

#[test]
fn policies_hold_in_mode_nat() -> Result<()> {
    if !has_root("policies_hold_in_mode_nat") {
        return Ok(());
    }
    let lab = Lab::new("lb_policy")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let nat = "mode = \"nat\"\nmss = 1000\naffinity = \"client\"";
    let config = |more: &str| {
        ports(&seed::PORTS)
            + &service("v4", seed::VIPS[0], &seed::SERVERS, &format!("{nat}\n{more}"))
            + &service("v6", seed::VIPS_V6[0], &seed::SERVERS_V6, nat)
    };
    let appliance = Appliance::start(&net.gateway, &config(""))?;
    for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
        let answers = appliance.explain(&net.gateway, requests(&net.client, vip))?;
        ensure!(names(&answers).len() == 1, "affinity: {:?}", names(&answers));
        let target = socket(vip, seed::HTTP)?;
        let stream = net.client.enter(|| TcpStream::connect_timeout(&target, SOON))??;
        let mss = getsockopt(&stream, sockopt::TcpMaxSeg)?;
        ensure!((500..=1_000).contains(&mss), "{vip}: segments of {mss} bytes");
    }
    appliance.reload(&config(&format!("deny = [\"{}\"]", seed::CLIENT)))?;
    let target = socket(seed::VIPS[0], seed::HTTP)?;
    let denied = net
        .client
        .enter(|| TcpStream::connect_timeout(&target, Duration::from_millis(500)).map(drop))?;
    let error = denied.err().context("a denied client was served")?;
    ensure!(error.kind() == std::io::ErrorKind::TimedOut, "not silent: {error}");
    ensure!(drops(&appliance, &net.gateway, "source_denied")? > 0, "not counted");
    requests(&net.client, seed::VIPS_V6[0])?;
    Ok(())
}
