//! Backends that fail their check: real nginx, killed, stopped, resetting, or sick by its own word.
//! New connections avoid it within the configured time; what is elsewhere is not touched.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::ports;
use portreeve_tests::connections::Connection;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::nginx::Nginx;
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use serde_json::Value;

/// Where nginx listens; port 80 is the lab's own server's.
const NGINX: u16 = 8080;
const CONNECTIONS: usize = 40;
/// New connections that show who gets new flows: a server with half of them is missed with a
/// probability of 1e-12.
const PROBES: usize = 40;
const INTERVAL: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(150);
const FALL: u32 = 2;
const RISE: u32 = 2;
/// The machine may be busy with other things.
const SLACK: Duration = Duration::from_millis(300);

/// The last probe that went well may just be over: then `FALL` more begin, and the last of them
/// takes its time.
fn detected() -> Duration {
    INTERVAL * FALL + TIMEOUT + SLACK
}

/// As long again until a probe that began before has failed.
fn back() -> Duration {
    INTERVAL * (RISE + 1) + TIMEOUT + SLACK
}

struct Net {
    pods: [Option<Nginx>; 2],
    appliance: Appliance,
    lab: SeedLab,
}

impl Net {
    /// `more` are further keys of the check.
    fn build(lab: &Lab, more: &str) -> Result<Self> {
        let net = SeedLab::build(lab, LinkOptions::default())?;
        let pods = [0, 1].map(|pod| Nginx::start(&net.servers[pod], NGINX));
        let [first, second] = pods;
        let config = config(more);
        let appliance = Appliance::start(&net.gateway, &config)?;
        let net = Self { pods: [Some(first?), Some(second?)], appliance, lab: net };
        net.wait_for(|backends| backends.iter().all(|backend| standing(backend) == "up"))?;
        Ok(net)
    }

    fn backends(&self) -> Result<Vec<Value>> {
        let services = self.appliance.json(&self.lab.gateway, &["services"])?;
        let all = services.as_array().context("services is no list")?.iter();
        Ok(all.filter_map(|service| service["backends"].as_array()).flatten().cloned().collect())
    }

    fn wait_for(&self, good: impl Fn(&[Value]) -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let backends = self.backends()?;
            if good(&backends) {
                return Ok(());
            }
            let log = self.appliance.log_tail();
            ensure!(Instant::now() < deadline, "not in ten seconds: {backends:#?}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Connections through both VIPs.
    fn open(&self) -> Result<Vec<Connection>> {
        let vips = [vip(seed::VIPS[0])?, vip(seed::VIPS_V6[0])?];
        (0..CONNECTIONS).map(|n| Connection::open(&self.lab.client, vips[n % 2])).collect()
    }

    /// Every new connection is answered by this server.
    fn all_by(&self, server: &str) -> Result<()> {
        for n in 0..PROBES {
            let to = vip([seed::VIPS[0], seed::VIPS_V6[0]][n % 2])?;
            let stream = self.lab.client.enter(|| TcpStream::connect_timeout(&to, SLACK))?;
            stream.with_context(|| format!("a new connection to {to}"))?;
            let opened = Connection::open(&self.lab.client, to)?;
            ensure!(opened.server == server, "a new connection reached {}", opened.server);
        }
        Ok(())
    }

    fn pod(&self, at: usize) -> Result<&Nginx> {
        self.pods[at].as_ref().context("this nginx does not run")
    }
}

fn config(more: &str) -> String {
    let mut text = ports(&seed::PORTS);
    let families = [(seed::VIPS[0], seed::SERVERS), (seed::VIPS_V6[0], seed::SERVERS_V6)];
    for (vip, servers) in families {
        let name = vip.replace(':', ".");
        text += &format!(
            "[[service]]\nname = \"s{name}\"\nvip = \"{vip}\"\n\
             ports = [{{ port = 80, target = {NGINX} }}]\nbackends = {servers:?}\n\
             [service.health]\nkind = \"http\"\npath = \"/healthz\"\nstatus = 200\n\
             interval = \"{}ms\"\ntimeout = \"{}ms\"\nrise = {RISE}\nfall = {FALL}\n{more}\n",
            INTERVAL.as_millis(),
            TIMEOUT.as_millis(),
        );
    }
    text
}

fn vip(addr: &str) -> Result<SocketAddr> {
    Ok(SocketAddr::new(addr.parse()?, seed::HTTP))
}

fn standing(backend: &Value) -> &str {
    backend["health"]["standing"].as_str().unwrap_or_default()
}

fn error(backend: &Value) -> &str {
    backend["health"]["last_error"].as_str().unwrap_or_default()
}

fn by(connections: Vec<Connection>, server: &str) -> (Vec<Connection>, Vec<Connection>) {
    connections.into_iter().partition(|connection| connection.server == server)
}

/// Every connection goes on asking until the time is over, and is answered each time.
fn go_on(connections: &mut [Connection], time: Duration) -> Result<()> {
    let begun = Instant::now();
    ensure!(connections.len() > CONNECTIONS / 5, "too few to prove anything");
    while begun.elapsed() < time {
        for connection in connections.iter_mut() {
            let said = connection.ask();
            ensure!(said.is_ok_and(|who| who == connection.server), "one elsewhere broke");
        }
    }
    Ok(())
}

fn ends(connections: &mut [Connection]) -> Vec<Result<String, ErrorKind>> {
    connections.iter_mut().map(|c| c.ask().map_err(|error: io::Error| error.kind())).collect()
}

#[test]
fn a_killed_backend_is_avoided_within_the_configured_time() -> Result<()> {
    if !has_root("a_killed_backend_is_avoided_within_the_configured_time") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_kill")?;
    let mut net = Net::build(&lab, "")?;
    let (_, mut elsewhere) = by(net.open()?, "webpod1");
    net.pod(0)?.process.signal(Signal::SIGKILL)?;
    go_on(&mut elsewhere, detected())?;
    net.all_by("webpod2")?;
    let backends = net.backends()?;
    ensure!(standing(&backends[0]) == "down" && backends[0]["state"] == "failed", "{backends:#?}");
    ensure!(error(&backends[0]) == "connection refused", "{backends:#?}");
    ensure!(backends[0]["weight"] == 100 && backends[0]["share_percent"] == 0.0, "{backends:#?}");
    ensure!(standing(&backends[1]) == "up", "{backends:#?}");
    go_on(&mut elsewhere, Duration::ZERO)?;

    net.pods[0] = None;
    net.pods[0] = Some(Nginx::start(&net.lab.servers[0], NGINX)?);
    go_on(&mut elsewhere, back())?;
    let (first, second) = by(net.open()?, "webpod1");
    ensure!(first.len().min(second.len()) > CONNECTIONS / 5, "it is not used again");
    go_on(&mut elsewhere, Duration::ZERO)
}

#[test]
fn flows_of_a_stopped_backend_wait_for_it() -> Result<()> {
    if !has_root("flows_of_a_stopped_backend_wait_for_it") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_stop")?;
    let net = Net::build(&lab, "")?;
    let (mut on_it, mut elsewhere) = by(net.open()?, "webpod1");
    net.pod(0)?.process.signal(Signal::SIGSTOP)?;
    go_on(&mut elsewhere, detected())?;
    net.all_by("webpod2")?;
    let backends = net.backends()?;
    ensure!(error(&backends[0]).starts_with("no answer within 150ms"), "{backends:#?}");
    net.pod(0)?.process.signal(Signal::SIGCONT)?;
    let said = ends(&mut on_it);
    ensure!(said.iter().all(|said| said.as_deref() == Ok("webpod1")), "{said:?}");
    go_on(&mut elsewhere, back())?;
    let (first, second) = by(net.open()?, "webpod1");
    ensure!(first.len().min(second.len()) > CONNECTIONS / 5, "it is not used again");
    Ok(())
}

#[test]
fn flows_of_a_stopped_backend_are_reset_when_that_is_wanted() -> Result<()> {
    if !has_root("flows_of_a_stopped_backend_are_reset_when_that_is_wanted") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_reset")?;
    let net = Net::build(&lab, "reset_on_fail = true")?;
    let (mut on_it, mut elsewhere) = by(net.open()?, "webpod1");
    net.pod(0)?.process.signal(Signal::SIGSTOP)?;
    go_on(&mut elsewhere, detected())?;
    let said = ends(&mut on_it);
    ensure!(said.iter().all(|said| *said == Err(ErrorKind::ConnectionReset)), "{said:?}");
    net.all_by("webpod2")?;
    go_on(&mut elsewhere, Duration::ZERO)?;
    let backends = net.backends()?;
    ensure!(backends.len() == 4 && backends[0]["state"] == "failed", "{backends:#?}");
    net.pod(0)?.process.signal(Signal::SIGCONT)?;
    go_on(&mut elsewhere, back())?;
    let (first, second) = by(net.open()?, "webpod1");
    ensure!(first.len().min(second.len()) > CONNECTIONS / 5, "it is not used again");
    Ok(())
}

#[test]
fn a_backend_whose_host_resets_everything_is_avoided() -> Result<()> {
    if !has_root("a_backend_whose_host_resets_everything_is_avoided") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_rst")?;
    let net = Net::build(&lab, "")?;
    let (mut on_it, mut elsewhere) = by(net.open()?, "webpod1");
    let rules = format!(
        "add table inet t; add chain inet t in {{ type filter hook input priority 0; }}; \
         add rule inet t in tcp dport {NGINX} reject with tcp reset"
    );
    net.lab.servers[0].run("nft", &[&rules])?.ok()?;
    let said = ends(&mut on_it);
    ensure!(said.iter().all(|said| *said == Err(ErrorKind::ConnectionReset)), "{said:?}");
    // Both families' backends on the first server, which come first of their two.
    let backends = net.backends()?;
    let seen: u64 = backends.iter().filter_map(|backend| backend["resets"].as_u64()).sum();
    ensure!(seen == on_it.len() as u64, "{seen} resets seen of {}", on_it.len());
    ensure!(backends[1]["resets"] == 0 && backends[3]["resets"] == 0, "{backends:#?}");
    go_on(&mut elsewhere, detected())?;
    net.all_by("webpod2")?;
    go_on(&mut elsewhere, Duration::ZERO)
}

#[test]
fn when_all_have_failed_all_are_used() -> Result<()> {
    if !has_root("when_all_have_failed_all_are_used") {
        return Ok(());
    }
    let lab = Lab::new("lb_health_panic")?;
    let net = Net::build(&lab, "")?;
    net.pod(0)?.set_sick(true)?;
    std::thread::sleep(detected());
    net.all_by("webpod2")?;
    let backends = net.backends()?;
    ensure!(error(&backends[0]) == "answered 503 instead of 200", "{backends:#?}");

    net.pod(1)?.set_sick(true)?;
    std::thread::sleep(detected());
    let (first, second) = by(net.open()?, "webpod1");
    ensure!(first.len().min(second.len()) > CONNECTIONS / 5, "not all are used");
    let status = net.appliance.json(&net.lab.gateway, &["status"])?;
    let panics = &status["health"]["panics"];
    ensure!(panics.as_array().is_some_and(|all| all.len() == 2), "{status}");
    ensure!(status["health"]["panics_total"] == 2 && status["health"]["down"] == 4, "{status}");
    let human = net.appliance.cli(&net.lab.gateway, &["status"])?.ok()?;
    ensure!(human.contains("all ipv4 backends of s10.10.200.1 have failed"), "{human}");
    let human = net.appliance.cli(&net.lab.gateway, &["services"])?.ok()?;
    ensure!(human.contains("answered 503 instead of 200"), "{human}");

    net.appliance.reload(&config("panic = false"))?;
    let to = vip(seed::VIPS[0])?;
    let refused = net.lab.client.enter(|| TcpStream::connect(to))?.map(drop);
    let refused = refused.map_err(|error| error.kind());
    ensure!(refused == Err(ErrorKind::ConnectionRefused), "without backends: {refused:?}");
    net.pod(1)?.set_sick(false)?;
    std::thread::sleep(back());
    net.all_by("webpod2")
}

#[test]
fn what_a_backend_refuses_is_shown_without_any_check() -> Result<()> {
    if !has_root("what_a_backend_refuses_is_shown_without_any_check") {
        return Ok(());
    }
    let lab = Lab::new("lb_refused")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    // Nobody listens on the first server's port 81.
    let backends = format!("[{{ address = \"{}\", port = 81 }}]", seed::SERVERS[0]);
    let config = ports(&seed::PORTS)
        + &format!(
            "[[service]]\nname = \"web\"\nvip = \"{}\"\n\
             ports = [{{ port = 80 }}, {{ port = 81, protocol = \"udp\" }}]\n\
             backends = {backends}\n",
            seed::VIPS[0]
        );
    let appliance = Appliance::start(&net.gateway, &config)?;
    let to = vip(seed::VIPS[0])?;
    for _ in 0..3 {
        let refused = net.client.enter(|| TcpStream::connect(to))?.map(drop);
        let refused = refused.map_err(|error| error.kind());
        ensure!(refused == Err(ErrorKind::ConnectionRefused), "{refused:?}");
    }
    let services = appliance.json(&net.gateway, &["services"])?;
    let backend = &services[0]["backends"][0];
    ensure!(backend["refused"] == 3 && backend["resets"] == 0, "{backend}");
    ensure!(backend["health"].is_null() && backend["state"] == "active", "only shown: {backend}");
    let human = appliance.cli(&net.gateway, &["services"])?.ok()?;
    ensure!(human.contains("refused 3"), "{human}");

    // Over UDP the backend's host says it by ICMP.
    let datagram = net.client.enter(|| {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.connect((seed::VIPS[0], 81))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.send(b"anybody?")?;
        socket.recv(&mut [0; 16])
    })?;
    let told = datagram.map_err(|error| error.kind());
    ensure!(told == Err(ErrorKind::ConnectionRefused), "{told:?}");
    let services = appliance.json(&net.gateway, &["services"])?;
    let udp = services.as_array().into_iter().flatten().find(|view| view["protocol"] == "udp");
    let backend = &udp.context("no UDP service")?["backends"][0];
    ensure!(backend["unreachable"] == 1, "{backend}");
    Ok(())
}
