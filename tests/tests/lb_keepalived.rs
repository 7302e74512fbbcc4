//! Two gateways and the real keepalived: the VIPs move when Portreeve or keepalived dies, and no
//! interface carries one. Connections in mode `nat` go on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::ports;
use portreeve_tests::connections::{Connection, Crowd};
use portreeve_tests::counted::Counted;
use portreeve_tests::keepalived::Keepalived;
use portreeve_tests::lab::Lab;
use portreeve_tests::pair::{self, PairLab};
use portreeve_tests::seed;
use portreeve_tests::skip::has_root;

/// Priorities of the two; the timers below follow from the backup's.
const PRIORITY: [u8; 2] = [150, 100];
const ADVERT: Duration = Duration::from_secs(1);
/// `interval` of the check in the shipped configuration; it fails at the first time.
const CHECK: Duration = Duration::from_secs(1);
/// The script's default.
const LEASE: Duration = Duration::from_secs(3);
const LINGER: Duration = Duration::from_secs(10);
/// What is promised beyond keepalived's own timers.
const PROMISE: Duration = Duration::from_millis(300);
/// Between two datagrams of the client.
const PACE: Duration = Duration::from_millis(5);
const START: Duration = Duration::from_secs(20);
/// Where the first server counts.
const COUNT: u16 = 9_000;
/// Connections of each family that count, and that ask, over a move.
const COUNTERS: usize = 10;
const ASKERS: usize = 100;
/// What a kernel waits at first before it sends again; it doubles with every time, so the last time in
/// which nobody forwards is followed by a wait of its own length at most.
const RTO: Duration = Duration::from_millis(200);

/// RFC 3768 section 6.1: (256 - priority) / 256 seconds.
fn skew() -> Duration {
    Duration::from_secs(u64::from(256 - u16::from(PRIORITY[1]))) / 256
}

/// A master that hears nothing of itself: the others wait three advertisements and the skew.
fn master_down() -> Duration {
    ADVERT * 3 + skew()
}

fn config() -> String {
    let service = |vip: &str, servers: [&str; 2], name: &str| {
        format!(
            "[[service]]\nname = \"{name}\"\nvip = \"{vip}\"\nbackends = {servers:?}\n\
             ports = [{{ port = {} }}, {{ port = {}, protocol = \"udp\" }}]\n",
            seed::HTTP,
            seed::ECHO
        )
    };
    "[gateway]\nvips_at_start = \"released\"\n".to_owned()
        + &ports(&pair::PORTS)
        + &service(seed::VIPS[0], pair::SERVERS, "v4")
        + &service(seed::VIPS_V6[0], pair::SERVERS_V6, "v6")
}

/// As [`config`] in mode `nat`; of a second service only the first server is a backend.
fn nat_config() -> String {
    let router = |address| format!("[[router]]\naddress = \"{address}\"\n");
    let count = |vip: &str, server: &str, name: &str| {
        format!(
            "[[service]]\nname = \"count-{name}\"\nvip = \"{vip}\"\nmode = \"nat\"\n\
             ports = [{{ port = {COUNT} }}]\nbackends = [\"{server}\"]\n"
        )
    };
    config().replace("[[service]]\n", "[[service]]\nmode = \"nat\"\n")
        + &pair::ROUTERS.map(router).concat()
        + &count(seed::VIPS[0], pair::SERVERS[0], "v4")
        + &count(seed::VIPS_V6[0], pair::SERVERS_V6[0], "v6")
}

/// In mode `nat` both run, and servers send what is for clients through the router addresses.
fn build_nat(lab: &Lab) -> Result<Pair> {
    let pair = Pair::build(lab, &nat_config())?;
    for server in &pair.net.servers {
        pair::ROUTERS.iter().try_for_each(|router| server.route("default", router))?;
    }
    Ok(pair)
}

struct Pair {
    keepalived: [Keepalived; 2],
    appliances: [Appliance; 2],
    net: PairLab,
}

impl Pair {
    /// Both run, and the first is master.
    fn build(lab: &Lab, config: &str) -> Result<Self> {
        let net = PairLab::build(lab)?;
        let start = |at: usize| Appliance::start(&net.gateways[at], config);
        let appliances = [start(0)?, start(1)?];
        let first = Keepalived::start(&net.gateways[0], &appliances[0], PRIORITY[0])?;
        let second = Keepalived::start(&net.gateways[1], &appliances[1], PRIORITY[1])?;
        let pair = Self { keepalived: [first, second], appliances, net };
        pair.wait_for(0, "held", START)?;
        ensure!(pair.hold(1)? == "released", "both hold");
        Ok(pair)
    }

    /// What a gateway says of the first VIP.
    fn hold(&self, at: usize) -> Result<String> {
        let services = self.appliances[at].json(&self.net.gateways[at], &["services"])?;
        Ok(services[0]["hold"].as_str().context("no hold")?.to_owned())
    }

    fn wait_for(&self, at: usize, hold: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while self.hold(at)? != hold {
            ensure!(
                Instant::now() < deadline,
                "gw{} is not {hold} in {limit:?}\n{}\n{}",
                at + 1,
                self.keepalived[at].log(),
                self.appliances[at].log_tail()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Datagrams go to and fro all the time; does `then`, and returns the longest silence that a
    /// client of either family saw from then on until `more` after it.
    fn longest_silence(
        &self,
        more: Duration,
        then: impl FnOnce() -> Result<()>,
    ) -> Result<Duration> {
        let stop = AtomicBool::new(false);
        let vips = [seed::VIPS[0], seed::VIPS_V6[0]];
        std::thread::scope(|scope| {
            let clients = vips.map(|vip| scope.spawn(|| ask_all_the_time(self, vip, &stop)));
            std::thread::sleep(Duration::from_secs(1));
            let done = then();
            std::thread::sleep(more);
            stop.store(true, Ordering::Relaxed);
            let mut longest = Duration::ZERO;
            for client in clients {
                let silence =
                    client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                longest = longest.max(silence?);
            }
            done.map(|()| longest)
        })
    }

    /// The first gateway is gone from one moment to the next.
    fn die(&self) -> Result<()> {
        self.net.gateways[0].ip_batch("link set ens5 down\nlink set ens6 down")?;
        self.keepalived[0].kill()?;
        self.appliances[0].signal(Signal::SIGKILL)
    }

    /// New connections of both families are answered, and no interface carries a VIP.
    fn works(&self) -> Result<()> {
        for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
            for _ in 0..10 {
                Connection::open(&self.net.client, SocketAddr::new(vip.parse()?, seed::HTTP))?;
            }
        }
        for gateway in &self.net.gateways {
            let addresses = gateway.ip(&["address", "show"])?;
            let carried = [seed::VIPS[0], seed::VIPS_V6[0]];
            let carried = carried.iter().any(|vip| addresses.contains(&format!(" {vip}/")));
            ensure!(!carried, "an interface carries a VIP: {addresses}");
        }
        Ok(())
    }

    /// Whose MAC the client has for the VIP.
    fn client_sees(&self, at: usize) -> Result<bool> {
        let mac = self.net.gateways[at].mac("ens5")?;
        let neighbours = self.net.client.ip(&["neigh", "show", seed::VIPS[0]])?;
        Ok(neighbours.contains(&mac))
    }

    fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.with_context(|| {
            let logs = self.keepalived.each_ref().map(Keepalived::log);
            format!("keepalived on gw1:\n{}\non gw2:\n{}", logs[0], logs[1])
        })
    }
}

/// One flow that asks again and again; the longest time without an answer.
fn ask_all_the_time(pair: &Pair, vip: &str, stop: &AtomicBool) -> Result<Duration> {
    let to = SocketAddr::new(vip.parse()?, seed::ECHO);
    let any: IpAddr = match to {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = pair.net.client.enter(|| UdpSocket::bind((any, 0)))??;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PACE))?;
    let (mut heard, mut longest) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        // While nobody answers ARP the kernel says so; that is silence, too.
        let _ = socket.send(b"?");
        let begun = Instant::now();
        if socket.recv(&mut [0; 8]).is_ok() {
            longest = longest.max(heard.elapsed());
            heard = Instant::now();
        }
        std::thread::sleep(PACE.saturating_sub(begun.elapsed()));
    }
    Ok(longest.max(heard.elapsed()))
}

#[test]
fn vips_move_when_portreeve_is_killed_and_stay_when_it_is_back() -> Result<()> {
    if !has_root("vips_move_when_portreeve_is_killed_and_stay_when_it_is_back") {
        return Ok(());
    }
    let lab = Lab::new("lb_keepalived")?;
    let mut pair = Pair::build(&lab, &config())?;
    pair.works()?;
    // The next check fails, the master says that it resigns, the other waits for its skew.
    let limit = CHECK + skew() + PROMISE;
    let kill = || pair.appliances[0].signal(Signal::SIGKILL);
    let silence = pair.longest_silence(limit + Duration::from_secs(1), kill);
    let silence = pair.explain(silence)?;
    ensure!(silence <= limit, "silent for {silence:?}, allowed are {limit:?}");
    println!("killed portreeve: silent for {silence:?} of {limit:?}");
    pair.works()?;
    ensure!(pair.hold(1)? == "held" && pair.client_sees(1)?, "gw2 does not have the VIP");

    // It is back and well, and takes nothing away (nopreempt).
    let silence = {
        let Pair { appliances, net, .. } = &mut pair;
        appliances[0].restart(&net.gateways[0])?;
        pair.longest_silence(CHECK * 3, || Ok(()))?
    };
    ensure!(silence <= PROMISE, "silent for {silence:?} though nothing moved");
    ensure!(pair.hold(0)? == "released" && pair.hold(1)? == "held", "it has moved back");

    // A gateway that stops in order hands them over: priority 0 is advertised, skew is waited for.
    let limit = skew() + PROMISE;
    let stop = || pair.keepalived[1].stop();
    let silence = pair.explain(pair.longest_silence(master_down(), stop))?;
    println!("stopped keepalived: silent for {silence:?} of {limit:?}");
    ensure!(silence <= limit, "silent for {silence:?}, allowed are {limit:?}");
    pair.wait_for(0, "held", START)?;
    pair.works()?;

    // A restart so quick that keepalived does not see it begins released: the next check holds.
    let Pair { appliances, net, .. } = &mut pair;
    appliances[0].restart(&net.gateways[0])?;
    pair.wait_for(0, "held", CHECK + Duration::from_secs(1))?;
    pair.works()
}

#[test]
fn vips_move_when_a_whole_gateway_dies() -> Result<()> {
    if !has_root("vips_move_when_a_whole_gateway_dies") {
        return Ok(());
    }
    let lab = Lab::new("lb_keepalived_dead")?;
    let pair = Pair::build(&lab, &config())?;
    let limit = master_down() + PROMISE;
    let silence = pair.longest_silence(limit + Duration::from_secs(1), || pair.die());
    let silence = pair.explain(silence)?;
    println!("dead gateway: silent for {silence:?} of {limit:?}");
    ensure!(silence <= limit, "silent for {silence:?}, allowed are {limit:?}");
    pair.works()
}

#[test]
fn vips_move_when_keepalived_is_killed() -> Result<()> {
    if !has_root("vips_move_when_keepalived_is_killed") {
        return Ok(());
    }
    let lab = Lab::new("lb_keepalived_killed")?;
    let pair = Pair::build(&lab, &config())?;
    pair.works()?;
    let limit = master_down() + PROMISE;
    let killed = Instant::now();
    let kill = || {
        pair.keepalived[0].kill()?;
        pair.wait_for(1, "held", limit)
    };
    let silence = pair.explain(pair.longest_silence(Duration::from_secs(2), kill))?;
    println!("killed keepalived: silent for {silence:?}, moved in {limit:?}");
    // Portreeve of the first gateway goes on until the other has taken over.
    ensure!(silence <= PROMISE, "silent for {silence:?}");
    ensure!(pair.client_sees(1)?, "the client still sends to gw1");
    pair.works()?;
    // Nobody renews what the first one holds.
    pair.wait_for(0, "lingers", (LEASE + PROMISE).saturating_sub(killed.elapsed()) + PROMISE)?;
    pair.wait_for(0, "released", LINGER + PROMISE)?;
    pair.works()
}

/// Connections in mode `nat` of both families, which go on over every move.
struct Lasting {
    crowd: Crowd,
    counted: Vec<Counted>,
}

impl Lasting {
    fn begin(pair: &Pair) -> Result<Self> {
        let server = &pair.net.servers[0];
        let listener = server.enter(|| TcpListener::bind((Ipv6Addr::UNSPECIFIED, COUNT)))??;
        let to = |vip: &str, port| Ok::<_, anyhow::Error>(SocketAddr::new(vip.parse()?, port));
        let mut counted = Vec::new();
        for vip in [seed::VIPS[0], seed::VIPS_V6[0]] {
            for _ in 0..COUNTERS {
                counted.push(Counted::open(&pair.net.client, to(vip, COUNT)?, &listener)?);
            }
        }
        let targets = [to(seed::VIPS[0], seed::HTTP)?, to(seed::VIPS_V6[0], seed::HTTP)?];
        let crowd = Crowd::start(&pair.net.client, &targets, 2 * ASKERS)?;
        crowd.all_go_on()?;
        Ok(Self { crowd, counted })
    }

    /// All of them went on, none longer without a byte than `limit` and what TCP waits then.
    fn end(self, what: &str, limit: Duration) -> Result<()> {
        self.crowd.all_go_on()?;
        let (mut server, mut client) = (Duration::ZERO, Duration::ZERO);
        for counted in self.counted {
            let silences = counted.finish()?;
            server = server.max(silences.to_server);
            client = client.max(silences.to_client);
        }
        println!("{what}: on TCP connections nothing came for {server:?} and {client:?} at most");
        let limit = limit * 2 + RTO;
        ensure!(server.max(client) <= limit, "{server:?} and {client:?}, allowed are {limit:?}");
        Ok(())
    }
}

#[test]
fn connections_in_mode_nat_go_on_over_both_ways_to_move() -> Result<()> {
    if !has_root("connections_in_mode_nat_go_on_over_both_ways_to_move") {
        return Ok(());
    }
    let lab = Lab::new("lb_keepalived_nat")?;
    let mut pair = build_nat(&lab)?;
    let lasting = Lasting::begin(&pair)?;
    let limit = CHECK + skew() + PROMISE;
    let kill = || pair.appliances[0].signal(Signal::SIGKILL);
    let silence = pair.explain(pair.longest_silence(limit + Duration::from_secs(1), kill))?;
    println!("killed portreeve: silent for {silence:?} of {limit:?}");
    ensure!(silence <= limit, "silent for {silence:?}, allowed are {limit:?}");
    ensure!(pair.client_sees(1)?, "gw2 does not have the VIP");
    pair.explain(lasting.end("killed portreeve", limit))?;

    // An orderly move loses nothing: the old gateway forwards until the new one has been heard of.
    let Pair { appliances, net, .. } = &mut pair;
    appliances[0].restart(&net.gateways[0])?;
    let lasting = Lasting::begin(&pair)?;
    let stop = || pair.keepalived[1].stop();
    let silence = pair.explain(pair.longest_silence(master_down(), stop))?;
    println!("stopped keepalived: silent for {silence:?} of {PROMISE:?}");
    ensure!(silence <= PROMISE, "silent for {silence:?}");
    pair.wait_for(0, "held", START)?;
    ensure!(pair.client_sees(0)?, "gw1 does not have the VIP");
    pair.explain(lasting.end("stopped keepalived", PROMISE))?;
    pair.works()
}

#[test]
fn connections_in_mode_nat_go_on_when_a_whole_gateway_dies() -> Result<()> {
    if !has_root("connections_in_mode_nat_go_on_when_a_whole_gateway_dies") {
        return Ok(());
    }
    let lab = Lab::new("lb_keepalived_nat_dead")?;
    let pair = build_nat(&lab)?;
    let lasting = Lasting::begin(&pair)?;
    let limit = master_down() + PROMISE;
    let silence = pair.longest_silence(limit + Duration::from_secs(1), || pair.die());
    let silence = pair.explain(silence)?;
    println!("dead gateway: silent for {silence:?} of {limit:?}");
    ensure!(silence <= limit, "silent for {silence:?}, allowed are {limit:?}");
    pair.explain(lasting.end("dead gateway", limit))?;
    pair.works()
}
