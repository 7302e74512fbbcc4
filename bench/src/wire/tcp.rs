use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};
use rustix::event::Timespec;
use rustix::event::epoll::EventFlags;

use super::bench::{Bench, say};
use super::count::busy_seconds;
use super::peer::{Kind, Running};
use super::rate::{Disturbed, WARM_UP};
use super::rig::{Aim, BACKEND, BACKENDS, VIP, after};
use super::rows::{Case, Promise, Series, rows};
use crate::clock::now;
use crate::report::model::{Row, Unit};
use client::{Client, Done};

/// Connects, asks, closes.
pub mod client;
/// Answers.
pub mod server;

/// Nobody waits longer for anything before looking whether it is over.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
/// Connections that failed, of those that did not: more is another measurement.
const FAILED_MAX: f64 = 0.001;

const PROMISES: [Promise; 2] =
    [Promise { to: Kind::Haproxy, least: 1.4 }, Promise { to: Kind::Nft, least: 1.0 }];

/// What a client does all the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// Connects, sends a byte, receives one, closes.
    Connect,
    /// Sends a byte on an open connection, receives one.
    Ask,
    /// Receives.
    Bulk,
}

impl Doing {
    const fn parallel(self) -> usize {
        match self {
            Self::Connect | Self::Ask => 64,
            Self::Bulk => 8,
        }
    }

    const fn case(self) -> Case {
        match self {
            Self::Connect => Case {
                id: "wire/tcp-connections",
                group: "TCP, new connections: connect, one byte each way, close",
                unit: Unit::ConnectionsPerSecond,
            },
            Self::Ask => Case {
                id: "wire/tcp-requests",
                group: "TCP, requests of one byte on 64 open connections",
                unit: Unit::ConnectionsPerSecond,
            },
            Self::Bulk => Case {
                id: "wire/tcp-bulk",
                group: "TCP, 8 downloads at once",
                unit: Unit::BitsPerSecond,
            },
        }
    }

    /// Bytes are many: their processor time is told for a gigabyte.
    const fn portion(self) -> f64 {
        match self {
            Self::Connect | Self::Ask => 1.0,
            Self::Bulk => 1e3,
        }
    }

    /// Events become the unit of the row.
    const fn scale(self) -> f64 {
        match self {
            Self::Connect | Self::Ask => 1.0,
            Self::Bulk => 8.0,
        }
    }
}

/// Edge-triggered: each connection is looked at when something has happened to it.
fn interest(write: bool) -> EventFlags {
    let read = EventFlags::IN | EventFlags::ET;
    if write { read | EventFlags::OUT } else { read }
}

/// Measures a TCP case.
///
/// # Errors
/// When a device fails, connections fail, or source ports ran out.
pub fn case(bench: &mut Bench, doing: Doing) -> Result<Vec<Row>> {
    let mut all: Vec<_> = bench.devices.iter().map(|one| Series::new(one.kind)).collect();
    let mut next = vec![0; all.len()];
    let case = doing.case();
    for round in 0..bench.rounds {
        for at in bench.turns(round, Kind::carries_tcp) {
            let turn = turn(bench, at, doing, &mut next[at])?;
            let value = turn.done as f64 * doing.scale() / turn.seconds;
            let (kind, count) = (bench.devices[at].kind, bench.rounds);
            let name = kind.label();
            say(&format!("{} {}/{count}: {name:<28} {value:.0}/s", case.id, round + 1));
            all[at].push(
                value,
                turn.done as f64 / doing.portion(),
                turn.busy,
                Disturbed { gap_us: turn.gap_us, waited: 0.0 },
            );
            if turn.failed > 0 {
                let note = format!("round {}: {} connections failed", round + 1, turn.failed);
                ensure!(
                    (turn.failed as f64) < FAILED_MAX * (turn.done as f64).max(1e5),
                    "{name}: {note}, of {} others",
                    turn.done
                );
                all[at].notes.push(note);
            }
        }
    }
    bench.check()?;
    all.retain(|series| !series.rounds.is_empty());
    let promises: &[Promise] = if doing == Doing::Connect { &PROMISES } else { &[] };
    Ok(rows(case, &all, promises))
}

struct Turn {
    seconds: f64,
    done: u64,
    failed: u64,
    busy: f64,
    gap_us: f64,
}

fn turn(bench: &Bench, at: usize, doing: Doing, next: &mut u32) -> Result<Turn> {
    let one = &bench.devices[at];
    let (over, done) = (AtomicBool::new(false), Done::default());
    let client = Client::new(doing, targets(one), *next, &done)?;
    one.peer.wake()?;
    let (servers, clients) = (&one.rig.server, &one.rig.client);
    let turn = std::thread::scope(|scope| {
        let server = scope.spawn(|| servers.enter(|| server::serve(&over)));
        let client = scope.spawn(|| clients.enter(|| client.run(&over)));
        std::thread::sleep(WARM_UP);
        let _ = bench.look_out.take_us();
        let before = read(&done);
        std::thread::sleep(bench.time);
        let after = read(&done);
        let gap_us = bench.look_out.take_us();
        over.store(true, Ordering::Release);
        let [server, client] = [server.join().map(|s| s.map(|s| s.map(|()| 0))), client.join()]
            .map(|joined| joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        server??;
        *next = client??;
        let (before, after) = (before?, after?);
        Ok(Turn {
            seconds: after.at.duration_since(before.at).as_secs_f64(),
            done: after.done - before.done,
            failed: after.failed - before.failed,
            busy: after.busy - before.busy,
            gap_us,
        })
    });
    one.peer.rest()?;
    turn
}

struct Reading {
    at: Instant,
    done: u64,
    failed: u64,
    busy: f64,
}

fn read(done: &Done) -> Result<Reading> {
    Ok(Reading {
        at: now(),
        done: done.count.load(Ordering::Relaxed),
        failed: done.failed.load(Ordering::Relaxed),
        busy: busy_seconds()?,
    })
}

fn targets(one: &Running) -> Vec<Ipv4Addr> {
    match one.kind.aim() {
        Aim::Vip => vec![VIP],
        Aim::Backends => (0..BACKENDS).map(|n| after(BACKEND, n)).collect(),
    }
}
