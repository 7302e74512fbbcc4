//! A minute of garbage at full speed: nothing breaks, nothing is lost from the books, and what
//! worked before works after.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::curl;
use portreeve_tests::garbage::{Aim, Garbage};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::raw_port::RawPort;
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use portreeve_tests::traffic::Conversation;
use serde_json::Value;

const SEED: u64 = 0x706f_7274_7265_6576;
const PER_SECOND: u32 = 50_000;
/// Of those, from a server to source addresses.
const FROM_SERVER: u32 = 10_000;
const BATCH: usize = 64;
const REQUESTS: usize = 2_000;
const FLOWS: u64 = 65_536;
const JUMBO: u32 = 9_001;
/// Frames that a socket may hold back after its rx ring was full.
const RING: u64 = 2_048;
/// Time for the last packets to be done with.
const SETTLE: Duration = Duration::from_secs(20);
/// A second address of the client, which no garbage claims to come from.
const QUIET: &str = "10.10.200.4";

/// Sources that do not exist, are not routed to, or cannot be sources.
const STRANGERS: [&str; 7] = [
    "10.10.200.2",
    "198.51.100.7",
    "0.0.0.0",
    "224.0.0.1",
    "fd00:10:10:200::77",
    "2001:db8::7",
    "ff02::1",
];

fn config() -> String {
    let mut text = format!("[worker]\nflows = {FLOWS}\n") + &ports(&seed::PORTS);
    for (vips, servers) in [(seed::VIPS, seed::SERVERS), (seed::VIPS_V6, seed::SERVERS_V6)] {
        for vip in vips {
            text += &service(vip, &servers, r#"{ port = 80 }, { port = 7, protocol = "udp" }"#);
        }
    }
    text
}

fn soak_time() -> Result<Duration> {
    let seconds = std::env::var("PORTREEVE_SOAK_SECONDS").unwrap_or_else(|_| "60".to_owned());
    Ok(Duration::from_secs(seconds.parse().context("PORTREEVE_SOAK_SECONDS")?))
}

fn addresses(texts: &[&str]) -> Result<Vec<IpAddr>> {
    texts.iter().map(|text| text.parse().with_context(|| (*text).to_owned())).collect()
}

/// From the client, neighbours that do not exist, and strangers, to the VIPs.
fn from_client(net: &SeedLab) -> Result<Aim> {
    let vips = addresses(&[seed::VIPS, seed::VIPS_V6].concat())?;
    let services = [80, 7, 80, 7, 443];
    Ok(Aim {
        from: net.client.mac_bytes("ens5")?,
        to: net_mac(net, 0)?,
        sources: addresses(&[&[seed::CLIENT; 6][..], &[seed::CLIENT_V6; 4], &STRANGERS].concat())?,
        source_ports: Vec::new(),
        targets: vips
            .iter()
            .flat_map(|vip| services.map(|port| SocketAddr::new(*vip, port)))
            .collect(),
        oversized: JUMBO as usize - 100,
    })
}

/// From `webpod1` as if it answered, to the whole range of source ports and somewhat below.
fn from_server(net: &SeedLab) -> Result<Aim> {
    let [server, _] = &net.servers;
    let own = addresses(&["172.16.1.1", "fd00:172:16:1::1"])?;
    let ports = (60_900..=65_535).step_by(7);
    Ok(Aim {
        from: server.mac_bytes("ens5")?,
        to: net_mac(net, 1)?,
        sources: addresses(&[seed::SERVERS[0], seed::SERVERS_V6[0], "172.16.1.200"])?,
        source_ports: vec![80, 7],
        targets: ports
            .flat_map(|port| own.iter().map(move |ip| SocketAddr::new(*ip, port)))
            .collect(),
        oversized: 1_300,
    })
}

fn net_mac(net: &SeedLab, port: usize) -> Result<[u8; 6]> {
    net.gateway.mac_bytes(seed::PORTS[port])
}

/// Sends at an even pace until `end`; returns how many frames went.
fn pour(port: &RawPort, mut garbage: Garbage, per_second: u32, time: Duration) -> Result<u64> {
    let begun = Instant::now();
    let (mut due, mut sent) = (0_u64, 0_u64);
    while begun.elapsed() < time {
        let frames: Vec<_> = (0..BATCH).map(|_| garbage.frame().1).collect();
        sent += port.send(&frames)? as u64;
        due += BATCH as u64;
        let at = Duration::from_secs_f64(due as f64 / f64::from(per_second));
        std::thread::sleep(at.saturating_sub(begun.elapsed()));
    }
    Ok(sent)
}

fn number(value: &Value, path: &str) -> Result<u64> {
    value.pointer(path).and_then(Value::as_u64).with_context(|| format!("no {path}: {value}"))
}

/// What the appliance says of itself, as numbers.
#[derive(Debug)]
struct Books {
    frames: BTreeMap<String, u64>,
    received: u64,
    settled: u64,
    drops: BTreeMap<String, u64>,
    redirected: u64,
    flows: u64,
}

impl Books {
    fn read(appliance: &Appliance, gateway: &Host) -> Result<Self> {
        let status = appliance.json(gateway, &["status"])?;
        let counts = |path: &str| -> Result<BTreeMap<String, u64>> {
            let value = status.pointer(path).cloned().with_context(|| format!("no {path}"))?;
            serde_json::from_value(value).with_context(|| format!("{path}: {status}"))
        };
        let frames = counts("/frames")?;
        let drops = counts("/drops")?;
        let ports = status["ports"].as_array().context("no ports")?;
        let received = ports.iter().map(|port| number(port, "/rx_packets")).sum::<Result<u64>>()?;
        let verdict = |name: &str| number(&status, &format!("/verdicts/{name}"));
        let settled = verdict("forwarded")?
            + verdict("replied")?
            + drops.values().sum::<u64>()
            + number(&status, "/workers/0/waiting")?;
        let redirected = verdict("steering_redirected")?;
        let flows = number(&status, "/workers/0/flows")?;
        Ok(Self { frames, received, settled, drops, redirected, flows })
    }

    fn kernel_losses(&self) -> u64 {
        self.frames["rx_ring_full"] + self.frames["fill_ring_empty"]
    }

    /// Whether the books are closed: nothing to be sent, and each packet accounted for. Some may
    /// wait: for minutes the servers repeat their side of handshakes with clients that never were.
    fn closed(&self) -> bool {
        self.frames["tx"] == 0 && self.received == self.settled
    }
}

/// Waits until the books are closed. What the books say is only right then: they are read one by
/// one while packets pass.
fn settle(appliance: &Appliance, gateway: &Host) -> Result<Books> {
    let begun = Instant::now();
    loop {
        let books = Books::read(appliance, gateway)?;
        if books.closed() {
            return Ok(books);
        }
        ensure!(begun.elapsed() < SETTLE, "not settled in {SETTLE:?}: {books:?}");
        // There is no event to wait for: the appliance tells when it is asked.
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A connection to `webpod2`, whose side of the gateway no garbage is sent to.
fn quiet_conversation(net: &SeedLab) -> Result<Conversation> {
    let [_, server] = &net.servers;
    net.client.address("ens5", &format!("{QUIET}/29"))?;
    let vip = seed::VIPS[2];
    net.client.ip(&["route", "add", &format!("{vip}/32"), "dev", "ens5", "src", QUIET])?;
    let target = SocketAddr::new(vip.parse()?, seed::HTTP);
    for _ in 0..64 {
        let mut conversation = net.client.enter(|| Conversation::open(target))??;
        conversation.ask()?;
        if conversation.answer()? == server.name() {
            return Ok(conversation);
        }
    }
    anyhow::bail!("no connection went to {}", server.name())
}

/// What was seen while the garbage came.
#[derive(Debug, Default)]
struct Watched {
    flows_max: u64,
    answers: u32,
    slowest: Duration,
}

/// The established connection goes on and the appliance answers, once a second.
fn watch(
    net: &SeedLab,
    appliance: &Appliance,
    conversation: &mut Conversation,
    over: &AtomicBool,
) -> Result<Watched> {
    let mut seen = Watched::default();
    while !over.load(Ordering::Acquire) {
        let asked = Instant::now();
        conversation.ask()?;
        conversation.answer().context("the established connection broke")?;
        seen.slowest = seen.slowest.max(asked.elapsed());
        seen.answers += 1;
        let books = Books::read(appliance, &net.gateway)?;
        seen.flows_max = seen.flows_max.max(books.flows);
        std::thread::sleep(Duration::from_secs(1).saturating_sub(asked.elapsed()));
    }
    Ok(seen)
}

/// Pours from both sides for `time` and watches meanwhile; returns frames sent from each side.
fn soak(
    net: &SeedLab,
    appliance: &Appliance,
    conversation: &mut Conversation,
    time: Duration,
) -> Result<([u64; 2], Watched)> {
    let client = RawPort::open(&net.client, "ens5")?;
    let server = RawPort::open(&net.servers[0], "ens5")?;
    let from_client = Garbage::new(SEED, from_client(net)?);
    let from_server = Garbage::new(SEED + 1, from_server(net)?);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let rate = PER_SECOND - FROM_SERVER;
        let sides = [
            scope.spawn(move || pour(&client, from_client, rate, time)),
            scope.spawn(move || pour(&server, from_server, FROM_SERVER, time)),
        ];
        let watcher = scope.spawn(|| watch(net, appliance, conversation, &over));
        let sent = sides.map(ScopedJoinHandle::join);
        over.store(true, Ordering::Release);
        let [client, server] = sent.map(|sent| sent.unwrap_or_else(|panic| resume_unwind(panic)));
        let watched = watcher.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok(([client?, server?], watched?))
    })
}

fn requests_pass(net: &SeedLab) -> Result<()> {
    let vips = [seed::VIPS, seed::VIPS_V6].concat();
    let vips = addresses(&vips)?;
    let url = |n: usize| format!("http://{}/", SocketAddr::new(vips[n % vips.len()], 80));
    let urls: Vec<_> = (0..REQUESTS).map(url).collect();
    let answers = curl::get_parallel(&net.client, &urls, 4)?;
    let failed: Vec<_> = answers.iter().filter(|answer| !answer.is_good()).collect();
    let some = &failed[..failed.len().min(3)];
    ensure!(failed.is_empty(), "{} requests failed: {some:?}", failed.len());
    Ok(())
}

fn books_balance(before: &Books, after: &Books) -> Result<()> {
    let parts = ["pool", "rx", "tx", "waiting"];
    let held = parts.iter().map(|part| after.frames[*part]).sum::<u64>();
    let missing = after.frames["total"].abs_diff(held);
    let bound = if after.frames["rx_ring_full"] == 0 { 0 } else { RING };
    ensure!(missing <= bound, "{missing} frames are nowhere: {after:?}");
    let free = |books: &Books| books.frames["pool"] + books.frames["waiting"];
    let back = free(before) == free(after);
    ensure!(back || bound > 0, "the pool did not fill again: {before:?}, then {after:?}");
    let lost = after.redirected.abs_diff(after.received);
    ensure!(lost <= after.kernel_losses(), "{lost} packets vanished before the worker: {after:?}");
    Ok(())
}

fn report(sent: [u64; 2], time: Duration, watched: &Watched, after: &Books) {
    let kpps = sent.iter().sum::<u64>() as f64 / time.as_secs_f64() / 1e3;
    println!("seed {SEED:#x}: {sent:?} frames in {time:?}, {kpps:.1} kpps; {watched:?}");
    println!(
        "received {}, settled {}, lost in the kernel {}",
        after.received,
        after.settled,
        after.kernel_losses()
    );
    for (reason, count) in after.drops.iter().filter(|(_, count)| **count > 0) {
        println!("  {reason:<20} {count}");
    }
}

#[test]
fn garbage_at_full_speed_leaves_no_trace() -> Result<()> {
    if !has_root("garbage_at_full_speed_leaves_no_trace") {
        return Ok(());
    }
    let time = soak_time()?;
    let lab = Lab::new("lb_soak")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    for (host, port) in [(&net.client, "ens5"), (&net.gateway, seed::PORTS[0])] {
        host.ip(&["link", "set", port, "mtu", &JUMBO.to_string()])?;
    }
    let appliance = Appliance::start(&net.gateway, &config())?;
    let pid = appliance.process()?.pid();
    let run = || {
        let mut conversation = quiet_conversation(&net)?;
        let before = settle(&appliance, &net.gateway)?;
        let (sent, watched) = soak(&net, &appliance, &mut conversation, time)?;
        let after = settle(&appliance, &net.gateway)?;
        report(sent, time, &watched, &after);
        let target = f64::from(PER_SECOND) * time.as_secs_f64();
        ensure!(sent.iter().sum::<u64>() as f64 >= target / 2.0, "too slow: {sent:?}");
        ensure!(after.received > sent[0] / 4, "hardly any of it arrived: {after:?}");
        books_balance(&before, &after)?;
        ensure!(watched.flows_max < FLOWS, "the flow table was full: {watched:?}");
        requests_pass(&net)?;
        conversation.ask()?;
        conversation.answer().context("the established connection broke")
    };
    appliance.explain(&net.gateway, run())?;
    ensure!(appliance.process()?.pid() == pid, "another process");
    ensure!(!appliance.log().contains("panicked"), "{}", appliance.log());
    let status = appliance.json(&net.gateway, &["status"])?;
    ensure!(number(&status, "/uptime_s")? >= time.as_secs(), "it was restarted: {status}");
    Ok(())
}
