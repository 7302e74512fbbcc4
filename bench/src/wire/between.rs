use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use aya::Ebpf;
use aya::maps::{MapData, PerCpuArray};
use aya::programs::xdp::XdpMode;
use nix::ifaddrs::getifaddrs;

use super::bench::say;
use super::count::busy_seconds;
use super::gaps::LookOut;
use super::generator::{Generator, Traffic};
use super::options::{Between, Options};
use super::peer::program::attach_with;
use super::rate::{Disturbed, WARM_UP};
use crate::clock::now;
use crate::report::model::{Extra, Round, Row, Unit};

type Received = PerCpuArray<MapData, u64>;

/// Sends on one interface and counts on the other what comes through whatever lies between.
///
/// # Errors
/// When an interface is missing or cannot do it; when nothing arrives.
pub fn measure(between: &Between, options: &Options) -> Result<Vec<Row>> {
    let (_attached, counts) = sink(&between.rx)?;
    let mut generator = Generator::load()?;
    let look_out = LookOut::start();
    let traffic = traffic(between)?;
    let mut totals = Totals::default();
    let mut rounds = Vec::new();
    for round in 1..=options.rounds {
        let one = turn(&mut generator, &traffic, &counts, options.time())?;
        let disturbed = Disturbed { gap_us: look_out.take_us(), waited: 0.0 };
        say(&format!(
            "{round}/{}: {:.3} Mpps arrived of {:.3} sent",
            options.rounds,
            one.arrived / one.seconds / 1e6,
            one.sent / one.seconds / 1e6
        ));
        let unreliable = disturbed.gap_us > super::gaps::BAD_US;
        let value = one.arrived / one.seconds;
        rounds.push(Round { value, stolen_us: disturbed.gap_us, unreliable });
        totals.add(&one);
    }
    ensure!(
        totals.arrived > 0.0,
        "none of {} packets arrived on {}. Does the driver of {} send XDP frames (ndo_xdp_xmit)? \
         Is {} the gateway's port, and does it balance {} over UDP towards {}?",
        totals.sent,
        between.rx,
        between.tx,
        options.dst_mac.as_deref().unwrap_or_default(),
        between.dst,
        between.rx
    );
    Ok(vec![row(between, rounds, &totals)])
}

#[derive(Debug, Default)]
struct Totals {
    seconds: f64,
    sent: f64,
    arrived: f64,
    busy: f64,
}

impl Totals {
    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.sent += other.sent;
        self.arrived += other.arrived;
        self.busy += other.busy;
    }
}

fn turn(
    generator: &mut Generator,
    traffic: &Traffic,
    counts: &Received,
    time: Duration,
) -> Result<Totals> {
    generator.during(None, traffic, |meter| {
        let read =
            || Ok::<_, anyhow::Error>((meter.sent()?.packets, arrived(counts)?, busy_seconds()?));
        std::thread::sleep(WARM_UP);
        let (begun, before) = (now(), read()?);
        std::thread::sleep(time);
        let (seconds, after) = (begun.elapsed().as_secs_f64(), read()?);
        Ok(Totals {
            seconds,
            sent: (after.0 - before.0) as f64,
            arrived: (after.1 - before.1) as f64,
            busy: after.2 - before.2,
        })
    })
}

/// In the driver where it can, which keeps up with more.
fn sink(interface: &str) -> Result<(Ebpf, Received)> {
    let attach = |mode| attach_with(None, "sink", &[interface], mode);
    let mut object = attach(XdpMode::Driver).or_else(|_| attach(XdpMode::Skb))?;
    let map = object.take_map("received").context("the object counts nothing")?;
    Ok((object, PerCpuArray::try_from(map)?))
}

fn arrived(counts: &Received) -> Result<u64> {
    Ok(counts.get(&0, 0).context("read what arrived")?.iter().sum())
}

fn traffic(between: &Between) -> Result<Traffic> {
    Ok(Traffic {
        interface: between.tx.clone(),
        to: between.to,
        from: own_mac(&between.tx)?,
        source: between.src,
        target: *between.dst.ip(),
        targets: 1,
        port: between.dst.port(),
        probe_port: between.dst.port(),
        probe_every: None,
        flows: between.flows,
        size: between.size,
        rate: between.rate,
    })
}

fn own_mac(interface: &str) -> Result<[u8; 6]> {
    let mut all = getifaddrs().context("list the interfaces")?;
    let found = all.find_map(|one| {
        let link = *one.address?.as_link_addr()?;
        (one.interface_name == interface).then_some(link)
    });
    match found.and_then(|link| link.addr()) {
        Some(mac) => Ok(mac),
        None => bail!("there is no interface {interface} with a MAC"),
    }
}

fn row(between: &Between, rounds: Vec<Round>, totals: &Totals) -> Row {
    let extra = |name: &str, value: f64, unit: &str| Extra {
        name: name.to_owned(),
        value,
        unit: unit.to_owned(),
    };
    Row {
        id: "wire/between".to_owned(),
        group: format!("UDP, {} frames, {} to {}", between.size.name(), between.tx, between.rx),
        label: format!("arrived on {}", between.rx),
        unit: Unit::PacketsPerSecond,
        rounds,
        ratios: Vec::new(),
        extra: vec![
            extra("sent", totals.sent / totals.seconds / 1e6, "Mpps"),
            extra("lost", 100.0 * (1.0 - totals.arrived / totals.sent.max(1.0)), "%"),
            extra(super::rows::CPU, 1e6 * totals.busy / totals.arrived, "s"),
        ],
        latency: None,
        stages: Vec::new(),
        bars: Vec::new(),
        notes: Vec::new(),
    }
}
