use std::process::ExitCode;

use super::client;
use super::columns::{Columns, Side, bytes, uptime};
use crate::api_types::{
    Address, Cluster, ClusterComplaint, ClusterKind, Frames, HealthSummary, Panic, Status,
};
use crate::cli::ClientArgs;

const PATH: &str = "/v1/status";
/// Things of a kind that are named one by one.
const NAMED: usize = 8;

/// Prints how a running gateway is.
///
/// # Errors
/// When it does not answer.
pub fn run(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    if args.json {
        println!("{}", client::get(&args.socket, PATH)?.trim_end());
    } else {
        print!("{}", render(&client::get_as(&args.socket, PATH)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn render(status: &Status) -> String {
    let reload = &status.last_reload;
    let mut out = format!(
        "portreeve {} ({}), up {}, was ready after {} ms\nconfiguration {}: {}, tables {}\n",
        status.version,
        status.gateway,
        uptime(status.uptime_s),
        status.start_ms,
        status.config,
        if reload.ok {
            "in force"
        } else {
            "the last reading was refused, the one before is in force"
        },
        status.epoch,
    );
    for problem in &reload.problems {
        out += &format!("  {problem}\n");
    }
    out += &apart(status);
    out += &status.cluster.as_ref().map(cluster).unwrap_or_default();
    for conflict in &status.conflicts {
        out += &format!(
            "ALARM: {} is also claimed by {} on {} ({} times, last {} s ago)\n",
            conflict.address, conflict.mac, conflict.port, conflict.claims, conflict.seconds_ago
        );
    }
    for port in status.ports.iter().filter(|port| port.remade) {
        out += &format!(
            "ALARM: port {} was deleted and made anew: nothing is received or sent there until \
             portreeve is restarted\n",
            port.name
        );
    }
    out += &format!("\n{}\n{}", ports(status), workers(status));
    if let Some(frames) = &status.frames {
        out += &frames_line(frames);
    }
    for (title, counts) in [("packets", &status.verdicts), ("drops", &status.drops)] {
        let mut table = Columns::new(&[(title, Side::Left), ("", Side::Right)]);
        for (name, count) in counts.iter().filter(|(_, count)| **count > 0) {
            table.row(vec![format!("  {name}"), count.to_string()]);
        }
        out += &format!("\n{}", table.render());
    }
    out
}

/// How it stands with the cluster: kinds that are as they should be are not named.
fn cluster(cluster: &Cluster) -> String {
    let services = cluster.services;
    let mut out = match (&cluster.unusable, cluster.answers) {
        (Some(why), _) => format!("ALARM: the cluster cannot be asked: {why}\n"),
        (None, true) => format!("cluster: {services} services are served\n"),
        (None, false) => format!(
            "ALARM: the API server does not answer; {services} services of the cluster stay as they were\n"
        ),
    };
    for kind in cluster.kinds.iter().filter(|kind| kind.state != "watched") {
        let ClusterKind { name, state, message, .. } = kind;
        let message = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
        out += &format!("  {name} {state}{message}\n");
    }
    for complaint in &cluster.complaints {
        let ClusterComplaint { kind, namespace, name, reason, message } = complaint;
        let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
        out += &format!("  {kind} {place}{name}: {reason}: {message}\n");
    }
    let more = cluster.complaints_total.saturating_sub(cluster.complaints.len());
    if more > 0 {
        out += &format!("  and {more} more\n");
    }
    out
}

/// What is not as the configuration says: failed backends, drains, released addresses.
fn apart(status: &Status) -> String {
    let health = &status.health;
    let mut out = String::new();
    if health.unknown + health.up + health.down > 0 {
        let HealthSummary { up, down, unknown, .. } = health;
        out += &format!("backends by their checks: {up} up, {down} down, {unknown} unknown\n");
    }
    for panic in &health.panics {
        let Panic { service, family } = panic;
        out += &format!("  all {family} backends of {service} have failed, so all are used\n");
    }
    let drained = status.drained.iter().map(|drained| {
        let what = Address { address: drained.address, port: drained.port };
        format!("{} {what}", drained.kind)
    });
    let released = status.released.iter().map(|a| format!("{} ({})", a.address, a.hold));
    out += &list("drained", drained.collect());
    out += &list("not announced", released.collect());
    out
}

/// A line that names a few of many.
fn list(title: &str, names: Vec<String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    match (named.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!("{title}: {named}\n"),
        (false, more) => format!("{title}: {named} and {more} more\n"),
    }
}

fn ports(status: &Status) -> String {
    let head = [
        ("PORT", Side::Left),
        ("MODE", Side::Left),
        ("QUEUES", Side::Right),
        ("RX", Side::Right),
        ("", Side::Right),
        ("TX", Side::Right),
        ("", Side::Right),
    ];
    let mut table = Columns::new(&head);
    for port in &status.ports {
        let copy = if port.zero_copy { "zero-copy" } else { "copy" };
        table.row(vec![
            port.name.clone(),
            format!("{}, {copy}", port.mode),
            port.queues.to_string(),
            port.rx_packets.to_string(),
            bytes(port.rx_bytes),
            port.tx_packets.to_string(),
            bytes(port.tx_bytes),
        ]);
    }
    table.render()
}

fn workers(status: &Status) -> String {
    let head = [
        ("WORKER", Side::Left),
        ("CORE", Side::Left),
        ("FLOWS", Side::Right),
        ("OF", Side::Right),
        ("HALF-OPEN", Side::Right),
        ("HANDED IN", Side::Right),
        ("HANDED OUT", Side::Right),
        ("BUSY TURNS", Side::Right),
        ("SLEEPS", Side::Right),
    ];
    let mut table = Columns::new(&head);
    for (number, worker) in status.workers.iter().enumerate() {
        table.row(vec![
            number.to_string(),
            worker.core.map_or_else(|| "not pinned".into(), |core| core.to_string()),
            worker.flows.to_string(),
            worker.flows_max.to_string(),
            worker.half_open.to_string(),
            worker.handed_in.to_string(),
            worker.handed_out.iter().sum::<u64>().to_string(),
            worker.busy_turns.to_string(),
            worker.sleeps.to_string(),
        ]);
    }
    let mut out = table.render();
    for (number, _) in status.workers.iter().enumerate().filter(|(_, worker)| worker.stalled) {
        out += &format!("worker {number} makes no progress: no address is announced\n");
    }
    out + &skew(status)
}

/// A worker with far more flows than the others is slow for its own: clients that all use one source
/// port do that.
fn skew(status: &Status) -> String {
    let flows = || status.workers.iter().map(|worker| worker.flows);
    let (most, all) = (flows().max().unwrap_or(0), flows().sum::<u64>());
    if status.workers.len() < 2 || all == 0 {
        return String::new();
    }
    let even = all as f64 / status.workers.len() as f64;
    format!("skew: the fullest worker has {:.2} x its even share of flows\n", most as f64 / even)
}

/// Frames that the kernel holds for longer than it needs show as a free pool that shrinks.
fn frames_line(frames: &Frames) -> String {
    let mut line = format!(
        "\nframes: {} = {} free + {} to receive + {} to send + {} waiting",
        frames.total, frames.pool, frames.rx, frames.tx, frames.waiting
    );
    if frames.between > 0 {
        line += &format!(" + {} between workers", frames.between);
    }
    line.push('\n');
    if frames.rx_ring_full + frames.fill_ring_empty > 0 {
        line += &format!(
            "lost in the kernel: {} (rx ring full), {} (fill ring empty)\n",
            frames.rx_ring_full, frames.fill_ring_empty
        );
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::{Apart, DrainedState, Port, Reload, Worker};

    fn status() -> Status {
        Status {
            version: "0.1.0".into(),
            gateway: "gw1".into(),
            uptime_s: 3_725,
            start_ms: 42,
            epoch: 7,
            config: "gw.toml".into(),
            last_reload: Reload {
                at: 1,
                ok: false,
                problems: vec!["gw.toml:3:1: error: bad".into()],
            },
            ports: vec![Port {
                name: "ens5".into(),
                mode: "native".into(),
                queues: 4,
                remade: false,
                zero_copy: false,
                rx_packets: 10,
                rx_bytes: 2_048,
                tx_packets: 9,
                tx_bytes: 100,
            }],
            workers: vec![Worker {
                core: Some(1),
                flows: 5,
                flows_max: 1_024,
                ..Worker::default()
            }],
            frames: Some(Frames {
                total: 16,
                pool: 8,
                rx: 5,
                tx: 2,
                waiting: 1,
                between: 0,
                rx_ring_full: 0,
                fill_ring_empty: 3,
            }),
            conflicts: Vec::new(),
            drops: [("no_flow".to_owned(), 3), ("not_ours".to_owned(), 0)].into(),
            verdicts: [("forwarded".to_owned(), 19)].into(),
            health: HealthSummary::default(),
            drained: Vec::new(),
            released: Vec::new(),
            cluster: None,
        }
    }

    #[test]
    fn what_is_apart_from_the_configuration_is_named() {
        let mut status = status();
        status.health = HealthSummary {
            up: 1,
            down: 2,
            panics: vec![Panic { service: "web".into(), family: "ipv4".into() }],
            ..HealthSummary::default()
        };
        let address = [172, 16, 1, 93].into();
        status.drained = vec![DrainedState {
            kind: "backend".into(),
            address,
            port: Some(80),
            since: 1,
            others: vec![],
        }];
        let apart_of = |last| Apart { address: [10, 0, 0, last].into(), hold: "released".into() };
        status.released = (1..=9).map(apart_of).collect();
        let want = "\
backends by their checks: 1 up, 2 down, 0 unknown
  all ipv4 backends of web have failed, so all are used
drained: backend 172.16.1.93:80
not announced: 10.0.0.1 (released), 10.0.0.2 (released), 10.0.0.3 (released), 10.0.0.4 (released), \
10.0.0.5 (released), 10.0.0.6 (released), 10.0.0.7 (released), 10.0.0.8 (released) and 1 more
";
        assert_eq!(apart(&status), want);
    }

    #[test]
    fn people_see_what_is_wrong_first_and_no_zero_drops() {
        let want = "\
portreeve 0.1.0 (gw1), up 1 h 2 min, was ready after 42 ms
configuration gw.toml: the last reading was refused, the one before is in force, tables 7
  gw.toml:3:1: error: bad

PORT  MODE          QUEUES  RX           TX
ens5  native, copy       4  10  2.0 KiB   9  100 B

WORKER  CORE  FLOWS    OF  HALF-OPEN  HANDED IN  HANDED OUT  BUSY TURNS  SLEEPS
0       1         5  1024          0          0           0           0       0

frames: 16 = 8 free + 5 to receive + 2 to send + 1 waiting
lost in the kernel: 0 (rx ring full), 3 (fill ring empty)

packets
  forwarded  19

drops
  no_flow  3
";
        assert_eq!(render(&status()), want);
    }

    #[test]
    fn the_cluster_shows_what_is_wrong_and_no_kind_that_is_watched() {
        let kind = |name: &str, state: &str, message: Option<&str>| ClusterKind {
            name: name.into(),
            state: state.into(),
            message: message.map(str::to_owned),
            ..ClusterKind::default()
        };
        let complaint = ClusterComplaint {
            kind: "Service".into(),
            namespace: "default".into(),
            name: "web".into(),
            reason: "AddressInUse".into(),
            message: "10.9.0.1 port 80/tcp belongs to file".into(),
        };
        let mut state = Cluster {
            answers: true,
            kinds: vec![
                kind("services", "watched", None),
                kind("ciliumnodes", "absent", None),
                kind("leases", "forbidden", Some("our role needs: this")),
            ],
            services: 3,
            complaints: vec![complaint],
            complaints_total: 5,
            ..Cluster::default()
        };
        let want = "\
cluster: 3 services are served
  ciliumnodes absent
  leases forbidden: our role needs: this
  Service default/web: AddressInUse: 10.9.0.1 port 80/tcp belongs to file
  and 4 more
";
        assert_eq!(cluster(&state), want);
        state.answers = false;
        assert!(cluster(&state).starts_with("ALARM: the API server does not answer; 3 services"));
    }

    #[test]
    fn a_port_made_anew_is_an_alarm() {
        let mut status = status();
        assert!(!render(&status).contains("ALARM"));
        status.ports[0].remade = true;
        let shown = render(&status);
        assert!(shown.contains("\nALARM: port ens5 was deleted and made anew: "), "{shown}");
    }

    #[test]
    fn the_answer_survives_json() {
        let text = serde_json::to_string(&status()).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status());
    }
}
