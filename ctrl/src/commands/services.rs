use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::SystemTime;

use super::client;
use super::columns::{Columns, Side, bytes, uptime};
use crate::api_types::{Backend, Health, Service};
use crate::cli::ClientArgs;

const PATH: &str = "/v1/services";

/// Prints the services of a running gateway.
///
/// # Errors
/// When it does not answer.
pub fn run(args: &ClientArgs) -> anyhow::Result<ExitCode> {
    if args.json {
        println!("{}", client::get(&args.socket, PATH)?.trim_end());
    } else {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        print!("{}", render(&client::get_as::<Vec<Service>>(&args.socket, PATH)?, now.as_secs()));
    }
    Ok(ExitCode::SUCCESS)
}

/// `now` in seconds since 1970.
fn render(services: &[Service], now: u64) -> String {
    let head = [
        ("SERVICE", Side::Left),
        ("ADDRESS", Side::Left),
        ("MODE", Side::Left),
        ("STATE", Side::Left),
        ("WEIGHT", Side::Right),
        ("SHARE", Side::Right),
        ("FLOWS", Side::Right),
        ("IN", Side::Right),
        ("OUT", Side::Right),
        ("CHECK", Side::Left),
    ];
    let mut table = Columns::new(&head);
    for service in services {
        table.row(service_row(service));
        for backend in &service.backends {
            table.row(vec![
                String::new(),
                format!("  {}", SocketAddr::new(backend.address, backend.port)),
                String::new(),
                backend.state.clone(),
                backend.weight.to_string(),
                format!("{:.1} %", backend.share_percent),
                backend.flows.map(|flows| flows.to_string()).unwrap_or_default(),
                String::new(),
                String::new(),
                hints(backend, now),
            ]);
        }
    }
    table.render()
}

/// What a check says of a backend, and what connections have met.
fn hints(backend: &Backend, now: u64) -> String {
    let mut words: Vec<String> = backend.health.iter().map(|health| check(health, now)).collect();
    let met = [
        ("refused", backend.refused),
        ("reset", backend.resets),
        ("unreachable", backend.unreachable),
    ];
    for (what, count) in met {
        if count > 0 {
            words.push(format!("{what} {count}"));
        }
    }
    words.join("; ")
}

/// What a check says, since when, and why.
fn check(health: &Health, now: u64) -> String {
    let since = uptime(now.saturating_sub(health.since));
    let mut words = format!("{} for {since}", health.standing);
    if let Some(error) = health.last_error.as_ref().filter(|_| health.standing != "up") {
        words += &format!(": {error}");
    }
    words
}

fn service_row(service: &Service) -> Vec<String> {
    let state = match (service.backends.is_empty(), service.announce.as_slice()) {
        _ if service.drained => "drained".into(),
        _ if service.panic => "all backends failed".into(),
        _ if service.refusing => "all backends failed, refuses".into(),
        _ if matches!(service.hold.as_str(), "released" | "lingers") => service.hold.clone(),
        (true, _) => "no backends".into(),
        (false, []) => "not announced".into(),
        (false, ports) => format!("on {}", ports.join(", ")),
    };
    vec![
        service.name.clone(),
        format!("{}/{}", SocketAddr::new(service.vip, service.port), service.protocol),
        service.mode.clone(),
        state,
        String::new(),
        String::new(),
        service.flows_total.to_string(),
        bytes(service.bytes_in),
        bytes(service.bytes_out),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Service {
        let backend = Backend {
            address: [172, 16, 1, 93].into(),
            port: 80,
            weight: 100,
            state: "active".into(),
            share_percent: 100.0,
            flows: Some(2),
            refused: 0,
            resets: 3,
            unreachable: 0,
            health: None,
        };
        let health = Health {
            standing: "down".into(),
            since: 875,
            last_error: Some("connection refused".into()),
            probes: 9,
            failures: 4,
        };
        let failed = Backend {
            address: [172, 16, 2, 115].into(),
            state: "failed".into(),
            share_percent: 0.0,
            flows: None,
            refused: 7,
            resets: 0,
            unreachable: 2,
            health: Some(health),
            ..backend.clone()
        };
        Service {
            name: "svc1".into(),
            vip: [10, 10, 200, 1].into(),
            port: 80,
            protocol: "tcp".into(),
            mode: "snat".into(),
            announce: vec!["ens5".into()],
            table_size: 1_021,
            hold: "held".into(),
            drained: false,
            panic: false,
            refusing: false,
            backends: vec![backend, failed],
            flows_total: 5,
            packets_in: 7,
            bytes_in: 700,
            packets_out: 6,
            bytes_out: 9_000,
            no_backend: 0,
        }
    }

    #[test]
    fn a_service_whose_backends_all_failed_is_not_shown_as_healthy() {
        let shown = |service: Service| service_row(&service)[3].clone();
        let all_used = Service { panic: true, ..sample() };
        assert_eq!(shown(all_used), "all backends failed");
        let none_used = Service { refusing: true, ..sample() };
        assert_eq!(shown(none_used), "all backends failed, refuses");
        let removed = Service { refusing: true, backends: vec![], ..sample() };
        assert_eq!(shown(removed), "all backends failed, refuses");
    }

    #[test]
    fn backends_stand_below_their_service() {
        let want = "\
SERVICE  ADDRESS             MODE  STATE    WEIGHT    SHARE  FLOWS     IN      OUT  CHECK
svc1     10.10.200.1:80/tcp  snat  on ens5                       5  700 B  8.8 KiB
           172.16.1.93:80          active      100  100.0 %      2                  reset 3
           172.16.2.115:80         failed      100    0.0 %                         \
down for 2 min 5 s: connection refused; refused 7; unreachable 2
";
        assert_eq!(render(&[sample()], 1_000), want);
    }
}
