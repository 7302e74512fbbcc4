use std::net::SocketAddr;
use std::process::ExitCode;

use super::client;
use super::columns::{Columns, Side};
use crate::api_types::Flow;
use crate::cli::FlowsArgs;

/// Prints connections of a running gateway.
///
/// # Errors
/// When it does not answer.
pub fn run(args: &FlowsArgs) -> anyhow::Result<ExitCode> {
    let path = path(args);
    let client = &args.client;
    if client.json {
        println!("{}", client::get(&client.socket, &path)?.trim_end());
    } else {
        print!("{}", render(&client::get_as::<Vec<Flow>>(&client.socket, &path)?));
    }
    Ok(ExitCode::SUCCESS)
}

fn path(args: &FlowsArgs) -> String {
    let mut path = format!("/v1/flows?limit={}", args.limit);
    if let Some(service) = &args.service {
        path += "&service=";
        path += &client::escaped(service);
    }
    path
}

fn render(flows: &[Flow]) -> String {
    let head = [
        ("PROTO", Side::Left),
        ("CLIENT", Side::Left),
        ("VIP", Side::Left),
        ("MODE", Side::Left),
        ("SOURCE", Side::Left),
        ("BACKEND", Side::Left),
        ("STATE", Side::Left),
        ("IDLE", Side::Right),
        ("SERVICE", Side::Left),
    ];
    let mut table = Columns::new(&head);
    let or_removed = |addr: Option<SocketAddr>| addr.map_or("(removed)".into(), |a| a.to_string());
    for flow in flows {
        table.row(vec![
            flow.proto.clone(),
            flow.client.to_string(),
            or_removed(flow.vip),
            flow.mode.clone(),
            source(flow),
            flow.backend.to_string(),
            flow.state.clone(),
            format!("{:.1} s", flow.idle_ms as f64 / 1_000.0),
            flow.service.clone().unwrap_or_else(|| "(removed)".into()),
        ]);
    }
    table.render()
}

/// Where packets towards the backend come from.
fn source(flow: &Flow) -> String {
    match flow.snat {
        Some(snat) => snat.to_string(),
        None if flow.mode == "snat" => "(removed)".into(),
        None => "(the client)".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_whose_service_was_removed_is_still_shown() {
        let flow = Flow {
            proto: "tcp".into(),
            client: "10.10.200.5:4000".parse().unwrap(),
            vip: None,
            mode: "snat".into(),
            snat: Some("172.16.1.1:61000".parse().unwrap()),
            backend: "172.16.1.93:80".parse().unwrap(),
            state: "established".into(),
            idle_ms: 1_250,
            service: None,
        };
        let text = render(&[flow]);
        assert!(text.contains("(removed)") && text.contains("1.2 s"), "{text}");
        assert!(text.contains("snat  172.16.1.1:61000"), "{text}");
    }
}
