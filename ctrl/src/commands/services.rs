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
        ("REMARKS", Side::Left),
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
        (false, []) => announcer(service),
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
        remarks(service),
    ]
}

/// Who announces it, when that is another gateway.
fn announcer(service: &Service) -> String {
    let other = service.announcement.as_ref().filter(|announced| !announced.ours);
    match other.and_then(|announced| announced.holder.as_ref()) {
        Some(holder) => format!("announced by {holder}"),
        None => "not announced".into(),
    }
}

/// Why it is not announced by us, and what else is wrong with it.
fn remarks(service: &Service) -> String {
    let why_not = service.announcement.as_ref().and_then(|announced| announced.why_not.clone());
    let mut words: Vec<_> =
        why_not.map(|why| format!("not announced by us: {why}")).into_iter().collect();
    words.extend(service.problems.iter().cloned());
    words.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_types::Announcement;

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
            announcement: None,
            problems: vec![],
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
    fn a_service_that_is_not_announced_says_by_whom_else_or_why() {
        let shown = |announced: Announcement| {
            let announcement = Some(announced);
            let row = service_row(&Service { announce: vec![], announcement, ..sample() });
            (row[3].clone(), row[9].clone())
        };
        let elsewhere = Announcement { holder: Some("gw2".into()), ..Announcement::default() };
        assert_eq!(shown(elsewhere), ("announced by gw2".into(), String::new()));
        let why_not = Some("policy 'p' does not select the service".into());
        let nowhere = Announcement { why_not, ..Announcement::default() };
        let words = "not announced by us: policy 'p' does not select the service";
        assert_eq!(shown(nowhere), ("not announced".into(), words.into()));
        let problems = vec!["no endpoint of it is ready for new connections".into()];
        let troubled = Service { problems, ..sample() };
        assert_eq!(service_row(&troubled)[9], "no endpoint of it is ready for new connections");
    }

    #[test]
    fn backends_stand_below_their_service() {
        let want = "\
SERVICE  ADDRESS             MODE  STATE    WEIGHT    SHARE  FLOWS     IN      OUT  REMARKS
svc1     10.10.200.1:80/tcp  snat  on ens5                       5  700 B  8.8 KiB
           172.16.1.93:80          active      100  100.0 %      2                  reset 3
           172.16.2.115:80         failed      100    0.0 %                         \
down for 2 min 5 s: connection refused; refused 7; unreachable 2
";
        assert_eq!(render(&[sample()], 1_000), want);
    }
}
