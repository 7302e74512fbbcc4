//! A backend or a VIP is drained by hand: nothing new comes, nothing that runs is harmed, and the
//! operator is told when it is empty.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::connections::Connection;
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;

const CLIENTS: usize = 16;
/// Requests on one connection, after which the client closes it and opens another.
const REQUESTS: usize = 5;
/// New connections that show who gets new flows.
const PROBES: usize = 40;
/// As the command line says it: exit code 3.
const FLOWS_LEFT: Option<i32> = Some(3);

fn vip() -> Result<SocketAddr> {
    Ok(SocketAddr::new(seed::VIPS[0].parse()?, seed::HTTP))
}

/// Runs the program and gives its exit code and what it said.
fn cli(net: &SeedLab, appliance: &Appliance, args: &[&str]) -> Result<(Option<i32>, String)> {
    let ran = appliance.cli(&net.gateway, args)?;
    Ok((ran.code, ran.stdout + &ran.stderr))
}

/// What became of requests.
#[derive(Debug, Default)]
struct Load {
    stop: AtomicBool,
    good: [AtomicU64; 2],
    failed: AtomicU64,
}

impl Load {
    fn run(&self, host: &Host, to: SocketAddr) {
        while !self.stop.load(Ordering::Relaxed) {
            if let Err(error) = self.one_connection(host, to) {
                eprintln!("failed: {error:#}");
                self.failed.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn one_connection(&self, host: &Host, to: SocketAddr) -> Result<()> {
        let mut connection = Connection::open(host, to)?;
        for _ in 1..REQUESTS {
            connection.ask().with_context(|| format!("ask {}", connection.server))?;
        }
        let pod = usize::from(connection.server == "webpod2");
        self.good[pod].fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn good(&self) -> [u64; 2] {
        [0, 1].map(|pod| self.good[pod].load(Ordering::Relaxed))
    }

    /// Waits until so many more connections have ended well.
    fn more(&self, count: u64) -> Result<()> {
        let goal = self.good().iter().sum::<u64>() + count;
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.good().iter().sum::<u64>() < goal {
            ensure!(Instant::now() < deadline, "the load stands still: {self:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

#[test]
fn a_drained_backend_becomes_empty_and_no_request_fails() -> Result<()> {
    if !has_root("a_drained_backend_becomes_empty_and_no_request_fails") {
        return Ok(());
    }
    let lab = Lab::new("lb_drain")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let config = ports(&seed::PORTS) + &service(seed::VIPS[0], &seed::SERVERS, "{ port = 80 }");
    let appliance = Appliance::start(&net.gateway, &config)?;
    let (load, to) = (Load::default(), vip()?);
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load.run(&net.client, to));
        }
        let drained = drain_under_load(&net, &appliance, &load);
        load.stop.store(true, Ordering::Relaxed);
        appliance.explain(&net.gateway, drained)
    })?;
    let failed = load.failed.load(Ordering::Relaxed);
    ensure!(failed == 0, "{failed} requests failed, {:?} went well", load.good());
    Ok(())
}

fn drain_under_load(net: &SeedLab, appliance: &Appliance, load: &Load) -> Result<()> {
    load.more(200)?;
    ensure!(load.good().iter().all(|good| *good > 20), "both serve: {:?}", load.good());
    let backend = seed::SERVERS[0];
    let (code, said) = cli(net, appliance, &["drain", backend, "--wait", "20s"])?;
    ensure!(code == Some(0) && said.ends_with("no flow is left\n"), "{code:?}: {said}");
    let before = load.good();
    load.more(200)?;
    // A client that had its last answer just then counts it a moment later.
    let late = load.good()[0] - before[0];
    ensure!(late <= CLIENTS as u64, "{late} new connections to a drained backend");
    let at = load.good();
    load.more(200)?;
    ensure!(load.good()[0] == at[0], "new connections to a drained backend");
    let services = appliance.json(&net.gateway, &["services"])?;
    ensure!(services[0]["backends"][0]["state"] == "drained", "{services}");
    ensure!(services[0]["backends"][0]["weight"] == 100, "{services}");

    // It stays so when the file is read again, also with a change.
    let other = service(seed::VIPS[1], &seed::SERVERS, "{ port = 80 }");
    let config = std::fs::read_to_string(appliance.config_path())?;
    appliance.reload(&(config + &other))?;
    let at = load.good();
    load.more(200)?;
    ensure!(load.good()[0] == at[0], "a reload ended the drain");
    let status = appliance.json(&net.gateway, &["status"])?;
    ensure!(status["drained"][0]["address"] == backend, "{status}");

    let (code, said) = cli(net, appliance, &["undrain", backend])?;
    ensure!(code == Some(0), "{said}");
    load.more(200)?;
    ensure!(load.good()[0] > at[0] + 20, "no new connections after the drain: {:?}", load.good());
    Ok(())
}

#[test]
fn whoever_waits_is_told_how_many_flows_are_left() -> Result<()> {
    if !has_root("whoever_waits_is_told_how_many_flows_are_left") {
        return Ok(());
    }
    let lab = Lab::new("lb_drain_wait")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let config = ports(&seed::PORTS) + &service(seed::VIPS[0], &seed::SERVERS, "{ port = 80 }");
    let appliance = Appliance::start(&net.gateway, &config)?;
    let open = || Connection::open(&net.client, vip()?);
    let mut held: Vec<_> = (0..PROBES).map(|_| open()).collect::<Result<_>>()?;
    let of_first = held.iter().filter(|c| c.server == "webpod1").count();
    let backend = format!("{}:{}", seed::SERVERS[0], seed::HTTP);

    let (code, said) = cli(&net, &appliance, &["drain", &backend, "--wait", "300ms"])?;
    ensure!(code == FLOWS_LEFT, "{code:?}: {said}");
    ensure!(said.contains(&format!("{of_first} flows are left after 300ms")), "{said}");
    ensure!((0..PROBES).all(|_| open().is_ok_and(|c| c.server == "webpod2")));
    for connection in &mut held {
        connection.ask().with_context(|| format!("a connection to {}", connection.server))?;
    }
    held.retain(|c| c.server == "webpod2");
    let (code, said) = cli(&net, &appliance, &["drain", &backend, "--wait", "10s"])?;
    ensure!(code == Some(0), "{code:?}: {said}");
    cli(&net, &appliance, &["undrain", &backend])?;

    let (code, said) = cli(&net, &appliance, &["drain", seed::VIPS[0], "--wait", "300ms"])?;
    ensure!(code == FLOWS_LEFT, "{code:?}: {said}");
    let to = vip()?;
    let refused = net.client.enter(|| TcpStream::connect(to))?;
    let refused = refused.map(drop).map_err(|error| error.kind());
    ensure!(refused == Err(ErrorKind::ConnectionRefused), "a drained VIP says {refused:?}");
    for connection in &mut held {
        connection.ask().context("a connection through a drained VIP")?;
    }
    cli(&net, &appliance, &["undrain", seed::VIPS[0]])?;
    open().context("a VIP that is no longer drained")?;

    for nothing in ["198.51.100.1", "172.16.1.93:81", "10.10.200.1:80"] {
        let (code, said) = cli(&net, &appliance, &["drain", nothing])?;
        ensure!(code == Some(1) && said.contains(nothing.split(':').next().unwrap_or(nothing)));
    }
    let (code, said) = cli(&net, &appliance, &["undrain", seed::SERVERS[0]])?;
    ensure!(code == Some(1) && said.contains("is not drained"), "{said}");
    Ok(())
}
