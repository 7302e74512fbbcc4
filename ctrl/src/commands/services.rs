use std::net::SocketAddr;
use std::process::ExitCode;

use super::client;
use super::columns::{Columns, Side, bytes};
use crate::api_types::Service;
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
        print!("{}", render(&client::get_as::<Vec<Service>>(&args.socket, PATH)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn render(services: &[Service]) -> String {
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
            ]);
        }
    }
    table.render()
}

fn service_row(service: &Service) -> Vec<String> {
    let state = match (service.backends.is_empty(), service.announce.as_slice()) {
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
    use crate::api_types::Backend;

    #[test]
    fn backends_stand_below_their_service() {
        let backend = Backend {
            address: [172, 16, 1, 93].into(),
            port: 80,
            weight: 100,
            state: "active".into(),
            share_percent: 100.0,
            flows: Some(2),
        };
        let service = Service {
            name: "svc1".into(),
            vip: [10, 10, 200, 1].into(),
            port: 80,
            protocol: "tcp".into(),
            mode: "snat".into(),
            announce: vec!["ens5".into()],
            table_size: 1_021,
            backends: vec![backend],
            flows_total: 5,
            packets_in: 7,
            bytes_in: 700,
            packets_out: 6,
            bytes_out: 9_000,
            no_backend: 0,
        };
        let want = "\
SERVICE  ADDRESS             MODE  STATE    WEIGHT    SHARE  FLOWS     IN      OUT
svc1     10.10.200.1:80/tcp  snat  on ens5                       5  700 B  8.8 KiB
           172.16.1.93:80          active      100  100.0 %      2
";
        assert_eq!(render(&[service]), want);
    }
}
