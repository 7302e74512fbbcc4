use std::io::IoSliceMut;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use hdrhistogram::Histogram;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use rustix::time::{ClockId, clock_gettime};

use super::bench::{Bench, say};
use super::generator::{Size, Traffic};
use super::peer::{Kind, Running};
use super::rate::{Disturbed, Stretch, measure};
use super::rig::PROBE;
use super::rows::{Case, Series, rows};
use crate::report::believed::Summary;
use crate::report::model::{Extra, Latency, Row, Unit};

/// Packets with a time stamp per second: enough for a 99.9th percentile, too few to weigh.
const PROBES_PER_SECOND: f64 = 5_000.0;
/// Longest time that is told apart, in nanoseconds.
const LONGEST: u64 = 1_000_000_000;
const PATIENCE: Duration = Duration::from_millis(50);
/// Points of the curve.
const PERCENTILES: [f64; 12] =
    [1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.99, 100.0];

/// A load at which every device is timed.
pub struct Load {
    /// Third part of the ids (`half`), and what people read.
    pub case: Case,
    /// For people: `half of what it can`.
    pub of: &'static str,
    /// Packets per second for each device.
    pub rates: Vec<(Kind, f64)>,
}

/// Times packets of 64 bytes from the generator to the servers' kernel: rows whose figure is the
/// median of a round.
///
/// # Errors
/// When a device or the generator fails.
pub fn latency(bench: &mut Bench, load: &Load) -> Result<Vec<Row>> {
    let kinds: Vec<_> = load.rates.iter().map(|(kind, _)| *kind).collect();
    let mut all: Vec<_> = kinds.iter().map(|kind| Series::new(*kind)).collect();
    let mut times = Vec::new();
    for _ in &kinds {
        times.push(Histogram::new_with_max(LONGEST, 3).context("make a histogram")?);
    }
    for round in 0..bench.rounds {
        for at in bench.turns(round, |kind| kinds.contains(&kind)) {
            let kind = bench.devices[at].kind;
            let Some(place) = kinds.iter().position(|one| *one == kind) else { continue };
            let turn = turn(bench, at, load.rates[place].1)?;
            let median = turn.times.value_at_quantile(0.5) as f64;
            let (name, count) = (kind.label(), bench.rounds);
            let us = median / 1e3;
            say(&format!("{} {}/{count}: {name:<28} {us:.1} us", load.case.id, round + 1));
            all[place].push(median, turn.packets, turn.busy, turn.disturbed);
            all[place].notes.extend(turn.note.map(|note| format!("round {}: {note}", round + 1)));
            times[place].add(&turn.times).context("add up times")?;
        }
    }
    let mut rows = rows(load.case, &all, &[]);
    for ((row, times), (_, rate)) in rows.iter_mut().zip(&times).zip(&load.rates) {
        describe(row, times, load.of, *rate);
    }
    Ok(rows)
}

fn describe(row: &mut Row, times: &Histogram<u64>, of: &str, rate: f64) {
    row.latency = Some(Latency {
        of: format!("one way, {of}"),
        count: times.len(),
        max_ns: times.max(),
        percentiles: PERCENTILES.map(|p| (p, times.value_at_percentile(p))).to_vec(),
    });
    row.extra.push(Extra { name: "load".into(), value: rate / 1e6, unit: "Mpps".into() });
    for p in [99.0, 99.9] {
        let us = times.value_at_percentile(p) as f64 / 1e3;
        row.extra.push(Extra { name: format!("p{p}"), value: us, unit: "us".into() });
    }
    if row.rounds.iter().any(|round| round.unreliable) {
        row.notes.push(
            "a processor was taken away meanwhile: the tail is that of the machine".to_owned(),
        );
    }
}

struct Turn {
    times: Histogram<u64>,
    packets: f64,
    busy: f64,
    disturbed: Disturbed,
    note: Option<String>,
}

fn turn(bench: &mut Bench, at: usize, rate: f64) -> Result<Turn> {
    let Bench { devices, generator, look_out, time, .. } = bench;
    let one = &devices[at];
    let every = (rate / PROBES_PER_SECOND).max(1.0) as u32;
    let traffic = Traffic {
        rate: Some(rate),
        probe_every: Some(every),
        ..one.rig.traffic(one.kind.aim(), Size::Bytes(64))?
    };
    let over = AtomicBool::new(false);
    let socket = probes(one)?;
    one.peer.wake()?;
    let turn = std::thread::scope(|scope| {
        let listener = scope.spawn(|| listen(&socket, &over));
        let done = measure(one, generator, look_out, &traffic, *time);
        over.store(true, Ordering::Release);
        let times = listener.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        let done = done?;
        let Stretch { packets, busy, disturbed, .. } = done;
        let lost = 100.0 * done.loss();
        let note = if done.offered() < 0.98 * rate {
            Some(format!("the generator reached {:.2} Mpps only", done.offered() / 1e6))
        } else {
            (lost > 1.0).then(|| format!("{lost:.1} % did not arrive"))
        };
        Ok(Turn { times, packets: packets as f64, busy, disturbed, note })
    });
    one.peer.rest()?;
    turn
}

/// A socket of the servers for packets with a time stamp; the kernel stamps their arrival.
fn probes(one: &Running) -> Result<UdpSocket> {
    let socket = one.rig.server.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PROBE)))?;
    let socket = socket.context("bind the socket of the probes")?;
    socket.set_read_timeout(Some(PATIENCE)).context("set the timeout")?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true).context("have arrivals stamped")?;
    setsockopt(&socket, sockopt::RcvBufForce, &(4 << 20)).context("enlarge the buffer")?;
    Ok(socket)
}

/// Receives until `over`. The warm-up counts, too: it is the same load.
fn listen(socket: &UdpSocket, over: &AtomicBool) -> Result<Histogram<u64>> {
    let mut times = Histogram::new_with_max(LONGEST, 3).context("make a histogram")?;
    let ahead = realtime_ahead();
    let mut control = nix::cmsg_space!(TimeSpec);
    while !over.load(Ordering::Acquire) {
        let mut bytes = [0; 64];
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let got =
            recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut control), MsgFlags::empty());
        let Ok(message) = got else { continue };
        let arrived = message.cmsgs().ok().and_then(|mut all| {
            all.find_map(|one| match one {
                ControlMessageOwned::ScmTimestampns(time) => Some(time),
                _ => None,
            })
        });
        let sent = u64::from_ne_bytes(bytes[..8].try_into().unwrap_or_default());
        let Some(arrived) = arrived else { continue };
        let arrived = arrived.tv_sec() * 1_000_000_000 + arrived.tv_nsec() - ahead;
        let took = arrived - sent as i64;
        if sent > 0 && took > 0 {
            times.saturating_record(took as u64);
        }
    }
    Ok(times)
}

/// By how many nanoseconds the clock of arrivals is ahead of the one of the stamps, now: the
/// closest of a few readings.
fn realtime_ahead() -> i64 {
    let ns = |id| {
        let time = clock_gettime(id);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    };
    let read = |_| {
        let (before, real) = (ns(ClockId::Monotonic), ns(ClockId::Realtime));
        let after = ns(ClockId::Monotonic);
        (after - before, real - (before + after) / 2)
    };
    (0..32).map(read).min().map_or(0, |(_, ahead)| ahead)
}

/// Half of what each device reached in these rows, which are those of a rate.
#[must_use]
pub fn half(bench: &Bench, rates: &[Row]) -> Load {
    let share = |kind: &Kind| {
        let row = rates.iter().find(|row| row.id.ends_with(&format!("/{}", kind.id())))?;
        Some((*kind, Summary::of_row(row).median / 2.0))
    };
    let kinds = bench.devices.iter().map(|one| one.kind).filter(|kind| kind.carries_udp());
    Load {
        case: Case {
            id: "wire/latency-half",
            group: "Latency one way at half of what each can, UDP 64 B",
            unit: Unit::Ns,
        },
        of: "at half of what it can",
        rates: kinds.filter_map(|kind| share(&kind)).filter(|(_, rate)| *rate > 0.0).collect(),
    }
}
