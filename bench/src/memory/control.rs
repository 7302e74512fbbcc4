//! What control does before and beside the packets: Maglev tables, and compiling a configuration.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use dataplane::addr::{Addr, Mac, Proto};
use dataplane::tables::maglev::{Maglev, Member};
use dataplane::tables::publish;
use dataplane::tables::{BackendId, Tables};
use portreeve::compile::{Compiled, Compiler};
use portreeve::desired::{Desired, Service};
use portreeve::source::toml::load;
use portreeve::topology::{KernelRoute, Link, LinkAddress, RouteKind, Topology};

use crate::clock::now;
use crate::report::figure;
use crate::report::model::{Bar, Ratio, Row, Unit};
use crate::stats::{median, quantile};

/// (members, slots) of the Maglev rows; the fourth is the bar's.
const MAGLEV: [(u32, u32); 6] =
    [(3, 251), (10, 1_021), (100, 16_381), (1_000, 65_521), (1_000, 131_071), (10_000, 131_071)];
const BAR: (u32, u32) = (1_000, 65_521);
/// Services of the rows that are held to a bar.
pub(super) const MANY: u32 = 10_000;
pub(super) const ENDPOINTS: u32 = 10;
/// Changes of one endpoint: so many that the slowest one alone does not decide.
pub(super) const CHANGES: u32 = 250;

/// All rows of control.
///
/// # Errors
/// When the configuration of the benchmark is refused.
pub fn rows(rounds: usize, progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (members, size) in MAGLEV {
        progress(&format!("Maglev, {members} members"));
        rows.push(maglev(members, size, rounds));
    }
    for services in [1_000, MANY] {
        progress(&format!("{services} services"));
        rows.extend(compile(services)?);
    }
    Ok(rows)
}

pub(super) fn row(id: String, label: String, unit: Unit, values: &[f64]) -> Row {
    Row { label, ..Row::of(id, "Control", unit, values) }
}

/// Milliseconds that `work` takes, again and again.
fn timed<T>(rounds: usize, mut work: impl FnMut() -> T) -> Vec<f64> {
    (0..rounds)
        .map(|_| {
            let begun = now();
            black_box(work());
            begun.elapsed().as_secs_f64() * 1_000.0
        })
        .collect()
}

fn maglev(count: u32, size: u32, rounds: usize) -> Row {
    let seeds = Tables::default().seeds;
    let members: Vec<Member> = (0..count).map(member).collect();
    let mut built = Vec::new();
    let mut bare = Vec::new();
    for _ in 0..rounds {
        built.extend(timed(1, || Maglev::build(&seeds, size, &members)));
        bare.extend(timed(1, || bare_fill(count, size)));
    }
    let ratios: Vec<f64> = built.iter().zip(&bare).map(|(built, bare)| built / bare).collect();
    let label = format!("Maglev, {count} members in {size} slots");
    let mut row = row(format!("maglev/{size}/{count}"), label, Unit::Ms, &built);
    if (count, size) == BAR {
        let (ms, over) = (median(&built), median(&ratios));
        row.bars.push(Bar {
            text: "<= 2 ms and <= 1.3 x a bare fill loop".into(),
            reached: format!("{} ms, {} x", figure::digits(ms), figure::digits(over)),
            met: over <= 1.3,
        });
    }
    row.ratios.push(Ratio { to: "bare fill".into(), rounds: ratios });
    row
}

fn member(n: u32) -> Member {
    let [_, b, c, d] = n.to_be_bytes();
    let id = BackendId::new(n, 0);
    let addr = Addr::v4([10, b, c, d]);
    Member { id, addr, port: 8_080, proto: Proto::Tcp.into(), weight: 100 }
}

/// What no Maglev fill can do without: each member in turn takes the next free slot of its
/// permutation. Names are not hashed, and nothing is sorted.
fn bare_fill(members: u32, size: u32) -> Vec<u16> {
    let mut slots = vec![u16::MAX; size as usize];
    let step = |n: u32| 1 + (n.wrapping_mul(0x9e37_79b9) % (size - 1));
    let mut next: Vec<(u32, u32)> =
        (0..members).map(|n| (n.wrapping_mul(0x85eb_ca6b) % size, step(n))).collect();
    let mut filled = 0;
    loop {
        for (member, (at, step)) in next.iter_mut().enumerate() {
            while slots[*at as usize] != u16::MAX {
                *at = (*at + *step) % size;
            }
            slots[*at as usize] = member as u16;
            filled += 1;
            if filled == size {
                return slots;
            }
        }
    }
}

/// The first build, and one endpoint changed until every worker has it.
fn compile(services: u32) -> Result<Vec<Row>> {
    let host = host();
    let wanted = desired(services)?;
    let first = timed(3, || Compiler::new().compile(&wanted, &host, Duration::ZERO).is_ok());
    let name = format!("{} k services of {ENDPOINTS} endpoints", services / 1_000);
    let mut built =
        row(format!("compile/{services}/first"), format!("{name}, first build"), Unit::Ms, &first);
    let changes = changes(&host, &wanted)?;
    let label = format!("{name}, one endpoint changed, until every worker has it");
    let mut changed = row(format!("compile/{services}/endpoint"), label, Unit::Ms, &changes);
    if services == MANY {
        hold_to_bars(&mut built, &first, &mut changed, &changes);
    }
    Ok(vec![built, changed])
}

/// What is promised of a first build and of a change, in milliseconds.
pub(super) fn hold_to_bars(built: &mut Row, first: &[f64], changed: &mut Row, changes: &[f64]) {
    let (first, p99) = (median(first), quantile(changes, 0.99));
    let bar = |text: &str, ms, limit| Bar {
        text: text.into(),
        reached: format!("{} ms", figure::digits(ms)),
        met: ms <= limit,
    };
    built.bars.push(bar("<= 500 ms", first, 500.0));
    changed.bars.push(bar("<= 5 ms p99", p99, 5.0));
}

fn changes(host: &Topology, wanted: &Desired) -> Result<Vec<f64>> {
    let mut compiler = Compiler::new();
    let first = compiled(compiler.compile(wanted, host, Duration::ZERO))?;
    let mut next = wanted.clone();
    beside_a_worker(first.tables, |publish| {
        let changes = (0..CHANGES).map(|n| {
            next.services[n as usize] = moved(wanted, n);
            // The one before goes back to what it was.
            if let Some(before) = n.checked_sub(1).map(|before| before as usize) {
                next.services[before] = Arc::clone(&wanted.services[before]);
            }
            let begun = now();
            publish(compiled(compiler.recompile(&next, host, Duration::ZERO))?.tables);
            Ok(begun.elapsed().as_secs_f64() * 1_000.0)
        });
        changes.collect()
    })
}

/// Has `work` publish tables while a worker looks for them; each is adopted when it has been published.
pub(super) fn beside_a_worker<T>(
    first: Tables,
    work: impl FnOnce(&mut dyn FnMut(Tables)) -> T,
) -> T {
    let (mut publisher, readers) = publish::channel(first, 1);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for mut reader in readers {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    black_box(reader.refresh());
                    std::thread::yield_now();
                }
            });
        }
        let done = work(&mut |tables| {
            let epoch = publisher.publish(tables);
            while !publisher.all_adopted(epoch) {
                std::thread::yield_now();
            }
        });
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        done
    })
}

pub(super) fn compiled(
    result: Result<Compiled, Vec<portreeve::problem::Problem>>,
) -> Result<Compiled> {
    result.map_err(|problems| {
        anyhow!("{}", problems.first().map(ToString::to_string).unwrap_or_default())
    })
}

/// A service with another first endpoint, as a source that keeps all others gives it.
fn moved(wanted: &Desired, service: u32) -> Arc<Service> {
    let mut moved = Service::clone(&wanted.services[service as usize]);
    moved.backends[0].address.value = IpAddr::from([10, 64, service as u8, 200]);
    Arc::new(moved)
}

/// The configuration.
fn desired(services: u32) -> Result<Desired> {
    let mut text = String::from("[[port]]\nname = \"lan\"\n\n[[port]]\nname = \"pods\"\n");
    for n in 0..services {
        let backends: Vec<String> = (0..ENDPOINTS)
            .map(|endpoint| format!("\"10.{}.{}.{}\"", 64 + n / 256, n % 256, endpoint + 1))
            .collect();
        text.push_str(&format!(
            "\n[[service]]\nname = \"s{n}\"\nvip = \"10.32.{}.{}\"\nports = [{{ port = 80, protocol = \"tcp\" }}]\nbackends = [{}]\n",
            n / 256,
            n % 256,
            backends.join(", ")
        ));
    }
    load("bench.toml", &text).map(|loaded| loaded.desired).map_err(|problems| {
        anyhow!("{}", problems.first().map(ToString::to_string).unwrap_or_default())
    })
}

/// A host with all clients on one port and all pods behind a router on the other.
pub(super) fn host() -> Topology {
    let link = |ifindex: u32, name: &str| Link {
        ifindex,
        name: name.into(),
        mac: Mac([2, 0, 0, 0, 0, ifindex as u8]),
        mtu: 1_500,
        up: true,
        rx_queues: 1,
    };
    let address = |ifindex, net: &str| LinkAddress {
        ifindex,
        net: net.parse().expect("an address"),
        global: true,
        permanent: true,
    };
    let route = |dest: &str, ifindex, gateway: Option<IpAddr>| KernelRoute {
        dest: dest.parse().expect("a prefix"),
        kind: RouteKind::Unicast,
        ifindex: Some(ifindex),
        gateway,
        metric: 0,
        mtu: None,
    };
    Topology {
        links: vec![link(2, "lan"), link(3, "pods")],
        addresses: vec![address(2, "10.0.0.1/24"), address(3, "10.1.0.1/24")],
        routes: vec![
            route("10.0.0.0/24", 2, None),
            route("10.1.0.0/24", 3, None),
            route("10.64.0.0/10", 3, Some(IpAddr::from([10, 1, 0, 9]))),
        ],
        ..Topology::default()
    }
}
