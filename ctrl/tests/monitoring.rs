//! The alerts and the dashboard that are shipped speak of what is counted.

use std::collections::BTreeSet;
use std::path::Path;

use portreeve::api_types::{Pools, Service, Status};
use portreeve::metrics;
use serde_json::{Value, json};

const ALERTS: &str = "deploy/prometheus/rules.yaml";
const DASHBOARD: &str = "deploy/grafana/portreeve.json";
const REASONS: &str = "docs/drop-reasons.md";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A gateway of which everything can be counted, each thing once.
fn status() -> Status {
    let worker = json!({"core": 0, "flows": 0, "flows_max": 1, "half_open": 0, "half_open_evicted": 0,
        "waiting": 0, "checksums_finished": 0, "answers_limited": 0, "handed_out": [0, 0],
        "busy_turns": 0, "sleeps": 0, "epoch": 0});
    let status = json!({
        "version": "", "gateway": "", "uptime_s": 1, "start_ms": 1, "epoch": 1, "config": "",
        "last_reload": {"at": 1, "ok": true, "problems": []},
        "ports": [{"name": "ens5", "mode": "native", "queues": 1, "zero_copy": false,
            "rx_packets": 0, "rx_bytes": 0, "tx_packets": 0, "tx_bytes": 0}],
        "workers": [worker, worker],
        "conflicts": [{"address": "10.0.0.1", "port": "ens5", "mac": "", "claims": 1, "seconds_ago": 0}],
        "drops": {"no_flow": 0}, "verdicts": {"forwarded": 0},
        "cluster": {
            "answers": true, "services": 1, "changes": 1, "complaints": [], "complaints_total": 1,
            "complaints_by": {"Service": {"NotAnnounced": 1}}, "milliseconds_since_answer": 1_500,
            "kinds": [{"name": "services", "state": "watched", "objects": 1, "lists": 1}],
            "leases": [{"lease": "l", "holder": "us", "leads": true, "milliseconds_left": 2_500,
                "addresses": []}],
            "published": {"buckets": [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1], "sum_us": 2_004_500},
        },
    });
    serde_json::from_value(status).expect("a status")
}

fn pools() -> Pools {
    let pool = json!({"name": "p", "disabled": false, "conflicting": false, "total": "6",
        "available": "4", "used": "2", "holders": []});
    serde_json::from_value(json!({"allocator": "", "pools": [pool]})).expect("pools")
}

fn services() -> Vec<Service> {
    let health =
        json!({"standing": "up", "since": 0, "last_error": null, "probes": 0, "failures": 0});
    let service = json!({
        "name": "web", "vip": "10.0.0.1", "port": 80, "protocol": "tcp", "mode": "snat",
        "announce": [], "table_size": 251, "flows_total": 0, "packets_in": 0, "bytes_in": 0,
        "packets_out": 0, "bytes_out": 0, "no_backend": 0,
        "backends": [{"address": "10.1.0.1", "port": 80, "weight": 100, "state": "active",
            "share_percent": 100.0, "health": health}],
    });
    vec![serde_json::from_value(service).expect("a service")]
}

/// Names of metrics in a text: words that begin as ours do.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("portreeve_")).collect()
}

#[test]
fn every_metric_that_alerts_and_dashboard_name_is_served() {
    let scraped = metrics::render(&status(), &services(), Some(&pools()));
    let samples = scraped.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>();
    let served: BTreeSet<_> =
        samples.iter().filter_map(|line| line.split(['{', ' ']).next()).collect();
    assert!(served.contains("portreeve_drops_total"), "{scraped}");
    for path in [ALERTS, DASHBOARD] {
        let text = read(path);
        let unknown: Vec<_> = named(&text).difference(&served).copied().collect();
        assert!(named(&text).len() > 10 && unknown.is_empty(), "{path}: {unknown:?}\n{served:#?}");
    }
}

#[test]
fn what_is_counted_of_a_cluster_is_read_by_prometheus() {
    let scraped = metrics::render(&status(), &services(), Some(&pools()));
    for line in [
        "portreeve_cluster_connected{} 1",
        "portreeve_cluster_last_answer_seconds{} 1.5",
        "portreeve_cluster_complaints{kind=\"Service\",reason=\"NotAnnounced\"} 1",
        "portreeve_cluster_publication_seconds_bucket{le=\"0.001\"} 0",
        "portreeve_cluster_publication_seconds_bucket{le=\"1.0\"} 3",
        "portreeve_cluster_publication_seconds_bucket{le=\"+Inf\"} 4",
        "portreeve_cluster_publication_seconds_sum 2.0045",
        "portreeve_lease_left_seconds{lease=\"l\"} 2.5",
        "portreeve_pool_addresses{pool=\"p\",state=\"available\"} 4.0",
    ] {
        assert!(scraped.lines().any(|served| served == line), "{line}\n{scraped}");
    }
    let none = Status { cluster: None, ..status() };
    let scraped = metrics::render(&none, &services(), None);
    for family in ["portreeve_cluster_", "portreeve_lease", "portreeve_pool_"] {
        assert!(!scraped.contains(family), "{scraped}");
    }
}

#[test]
fn every_drop_reason_that_alerts_name_exists() {
    let (alerts, reasons) = (read(ALERTS), read(REASONS));
    let chosen = alerts.split("reason=~\"").skip(1).filter_map(|rest| rest.split('"').next());
    let chosen: Vec<_> = chosen.flat_map(|choice| choice.split('|')).collect();
    assert!(chosen.len() > 5);
    for reason in chosen {
        assert!(reasons.contains(&format!("| `{reason}` |")), "{reason}");
    }
}

#[test]
fn every_panel_of_the_dashboard_asks_something() {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let targets = panel["targets"].as_array().unwrap();
        let asks = |target: &Value| !named(target["expr"].as_str().unwrap_or_default()).is_empty();
        assert!(!targets.is_empty() && targets.iter().all(asks), "{panel:#}");
    }
}
