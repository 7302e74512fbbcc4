//! Everything that is counted, in the text that Prometheus reads. Counters live with the workers;
//! a scrape copies them into a registry of its own.

/// The cluster, where there is one.
mod cluster;

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api_types::{Backend, HealthSummary, Pools, Service, Status};

type Labels = Vec<(&'static str, String)>;

/// One scrape.
#[must_use]
pub fn render(status: &Status, services: &[Service], pools: Option<&Pools>) -> String {
    let mut registry = Registry::with_prefix("portreeve");
    outcomes(&mut registry, status);
    ports(&mut registry, status);
    workers(&mut registry, status);
    frontends(&mut registry, services);
    health(&mut registry, status, services);
    if let Some(cluster) = &status.cluster {
        cluster::cluster(&mut registry, cluster);
    }
    if let Some(pools) = pools {
        cluster::pools(&mut registry, pools);
    }
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

/// Registers one family of counters.
fn counters<'a>(
    registry: &mut Registry,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = (Labels, u64)> + 'a,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

fn gauges(
    registry: &mut Registry,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
    }
    registry.register(name, help, family);
}

/// What has fractions, or is larger than other numbers.
fn numbers(
    registry: &mut Registry,
    (name, help): (&str, &str),
    values: impl IntoIterator<Item = (Labels, f64)>,
) {
    let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn outcomes(registry: &mut Registry, status: &Status) {
    let drops = status.drops.iter().map(|(name, n)| (vec![("reason", name.clone())], *n));
    counters(registry, ("drops", "Packets that ended here, by reason"), drops);
    let verdicts = status.verdicts.iter().map(|(name, n)| (vec![("verdict", name.clone())], *n));
    counters(registry, ("verdicts", "What became of packets"), verdicts);
    let conflicts = status.conflicts.iter().map(|conflict| {
        let address = ("address", conflict.address.to_string());
        (vec![address, ("port", conflict.port.clone()), ("mac", conflict.mac.clone())], 1)
    });
    let help = "Stations that claim an address of ours, within the last ten minutes";
    gauges(registry, ("address_conflicts", help), conflicts);
    let reload = [(vec![], u64::from(status.last_reload.ok))];
    gauges(registry, ("config_ok", "Whether the last configuration was taken"), reload);
    gauges(registry, ("epoch", "Tables published"), [(vec![], status.epoch)]);
    gauges(registry, ("uptime_seconds", "Time since the start"), [(vec![], status.uptime_s)]);
}

fn ports(registry: &mut Registry, status: &Status) {
    let of = |value: fn(&crate::api_types::Port) -> u64| {
        status.ports.iter().map(move |port| (vec![("port", port.name.clone())], value(port)))
    };
    counters(registry, ("rx_packets", "Packets received"), of(|p| p.rx_packets));
    counters(registry, ("rx_bytes", "Bytes received"), of(|p| p.rx_bytes));
    counters(registry, ("tx_packets", "Packets sent"), of(|p| p.tx_packets));
    counters(registry, ("tx_bytes", "Bytes sent"), of(|p| p.tx_bytes));
    let help = "Whether the port was deleted and made anew, so that only a restart will use it";
    gauges(registry, ("port_remade", help), of(|p| u64::from(p.remade)));
}

fn workers(registry: &mut Registry, status: &Status) {
    let of = |value: fn(&crate::api_types::Worker) -> u64| {
        let numbered = status.workers.iter().enumerate();
        numbered.map(move |(i, worker)| (vec![("worker", i.to_string())], value(worker)))
    };
    gauges(registry, ("flows", "Flows in the table"), of(|w| w.flows));
    gauges(registry, ("flows_max", "Places of the flow table"), of(|w| w.flows_max));
    gauges(registry, ("half_open", "TCP flows in their handshake"), of(|w| w.half_open));
    gauges(registry, ("waiting", "Frames that wait for a next hop"), of(|w| w.waiting));
    let stalled = ("worker_stalled", "Whether a worker makes no progress");
    gauges(registry, stalled, of(|w| u64::from(w.stalled)));
    let evicted = ("half_open_evicted", "Half-open flows that gave way to newer ones");
    counters(registry, evicted, of(|w| w.half_open_evicted));
    let limited = ("answers_limited", "Answers of our own left out for their rate");
    counters(registry, limited, of(|w| w.answers_limited));
    let handed = ("handed_in", "Packets handed over by other workers, which received them");
    counters(registry, handed, of(|w| w.handed_in));
    handed_out(registry, status);
    let finished = ("checksums_finished", "Unfinished checksums finished in software");
    counters(registry, finished, of(|w| w.checksums_finished));
}

fn handed_out(registry: &mut Registry, status: &Status) {
    let handed = status.workers.iter().enumerate().flat_map(|(from, worker)| {
        let others = worker.handed_out.iter().enumerate().filter(move |(to, _)| *to != from);
        others.map(move |(to, packets)| {
            (vec![("worker", from.to_string()), ("to", to.to_string())], *packets)
        })
    });
    counters(registry, ("handed_out", "Packets handed over to the owners of their flows"), handed);
}

fn frontends(registry: &mut Registry, services: &[Service]) {
    let of = |value: fn(&Service) -> u64| {
        services.iter().map(move |service| (labels(service), value(service)))
    };
    counters(registry, ("service_flows", "Flows begun"), of(|s| s.flows_total));
    counters(registry, ("service_packets_in", "Packets from clients"), of(|s| s.packets_in));
    counters(registry, ("service_bytes_in", "Bytes from clients (IP)"), of(|s| s.bytes_in));
    counters(registry, ("service_packets_out", "Packets to clients"), of(|s| s.packets_out));
    counters(registry, ("service_bytes_out", "Bytes to clients (IP)"), of(|s| s.bytes_out));
    let none = ("service_no_backend", "Packets that found no backend");
    counters(registry, none, of(|s| s.no_backend));
}

fn health(registry: &mut Registry, status: &Status, services: &[Service]) {
    let HealthSummary { unknown, up, down, .. } = status.health;
    let counts = [("unknown", unknown), ("up", up), ("down", down)];
    let counts = counts.map(|(name, n)| (vec![("standing", name.to_owned())], n as u64));
    gauges(registry, ("checked_backends", "Checked backends, by what their check says"), counts);
    let panics = ("panics", "Times that a service lost all backends, so that all were used");
    counters(registry, panics, [(vec![], status.health.panics_total)]);
    let frontends = services.iter().map(|service| (labels(service), u64::from(service.panic)));
    gauges(registry, ("service_panic", "Whether all backends are used for all fail"), frontends);
    let checked = services.iter().flat_map(|service| {
        service.backends.iter().filter_map(move |backend| {
            let health = backend.health.as_ref()?;
            Some((labels_of_backend(service, backend), u64::from(health.standing != "down")))
        })
    });
    let help = "Whether a checked backend has not failed (unknown counts as up)";
    gauges(registry, ("backend_up", help), checked);
    let of = |value: fn(&Backend) -> u64| {
        services.iter().flat_map(move |service| {
            let backends = service.backends.iter();
            backends.map(move |backend| (labels_of_backend(service, backend), value(backend)))
        })
    };
    let refused = ("backend_refused", "Connections that a backend answered with RST");
    counters(registry, refused, of(|backend| backend.refused));
    let resets = ("backend_resets", "Established connections that a backend ended by RST");
    counters(registry, resets, of(|backend| backend.resets));
    let unreachable = ("backend_unreachable", "ICMP errors that said a backend cannot be reached");
    counters(registry, unreachable, of(|backend| backend.unreachable));
    let released = status.released.len() as u64;
    gauges(registry, ("addresses_released", "Addresses not announced"), [(vec![], released)]);
    let drained = status.drained.len() as u64;
    gauges(registry, ("drained", "VIPs and backends drained by hand"), [(vec![], drained)]);
}

fn labels(service: &Service) -> Labels {
    vec![
        ("service", service.name.clone()),
        ("vip", service.vip.to_string()),
        ("port", service.port.to_string()),
        ("protocol", service.protocol.clone()),
    ]
}

fn labels_of_backend(service: &Service, backend: &Backend) -> Labels {
    let at = SocketAddr::new(backend.address, backend.port);
    let mut labels = labels(service);
    labels.push(("backend", at.to_string()));
    labels
}
