use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::client;
use crate::api_types::{Address, DrainedState, FlowsLeft};
use crate::cli::{DrainArgs, FLOWS_LEFT, UndrainArgs};

/// Between two looks at how many flows are left.
const LOOK: Duration = Duration::from_millis(250);
const DRAIN: &str = "/v1/drain";
const UNDRAIN: &str = "/v1/undrain";

/// Drains, and waits if that is wanted.
///
/// # Errors
/// When the gateway does not answer or refuses.
pub fn drain(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let socket = &args.client.socket;
    let text = client::post(socket, DRAIN, &args.what)?;
    let drained: DrainedState = client::decode(DRAIN, &text)?;
    let say = |words: String| {
        if !args.client.json {
            println!("{words}");
        }
    };
    say(format!("{} {} gets no new flows", drained.kind, args.what));
    let left = match args.wait {
        None => flows_left(args)?,
        Some(limit) => wait(args, limit, &say)?,
    };
    if args.client.json {
        let answer = serde_json::json!({ "drained": drained, "flows": left });
        println!("{answer}");
    }
    let in_vain = args.wait.is_some() && left > 0;
    say(match (left, args.wait) {
        (0, _) => "no flow is left".to_owned(),
        (left, None) => format!("{} left", flows(left)),
        (left, Some(limit)) => format!("{} left after {limit:?}", flows(left)),
    });
    Ok(if in_vain { ExitCode::from(FLOWS_LEFT) } else { ExitCode::SUCCESS })
}

/// Takes it back.
///
/// # Errors
/// When the gateway does not answer or refuses.
pub fn undrain(args: &UndrainArgs) -> anyhow::Result<ExitCode> {
    let text = client::post(&args.client.socket, UNDRAIN, &args.what)?;
    if args.client.json {
        println!("{}", text.trim_end());
    } else {
        let state: DrainedState = client::decode(UNDRAIN, &text)?;
        println!("{}", undrained(&args.what, &state));
    }
    Ok(ExitCode::SUCCESS)
}

/// What an end of a drain has come to: another drain may hold back the same backend.
fn undrained(what: &Address, state: &DrainedState) -> String {
    let kind = &state.kind;
    if state.others.is_empty() {
        return format!("{kind} {what} gets new flows");
    }
    let mut words = match what.port {
        Some(_) => format!("{kind} {what} still gets no new flows"),
        None => format!("{kind} {what} gets new flows, but not at every port"),
    };
    for other in &state.others {
        words += &format!("\nthe drain of {other} stands: `portreeve undrain {other}` ends it");
    }
    words
}

/// Returns when no flow is left or the limit is over, with what is left then. Says each change.
fn wait(args: &DrainArgs, limit: Duration, say: &impl Fn(String)) -> anyhow::Result<u64> {
    let began = now();
    let mut said = None;
    loop {
        let left = flows_left(args)?;
        let over = began.elapsed();
        if left == 0 || over >= limit {
            return Ok(left);
        }
        if said != Some(left) {
            say(format!("{} left", flows(left)));
            said = Some(left);
        }
        std::thread::sleep(LOOK.min(limit - over));
    }
}

fn flows_left(args: &DrainArgs) -> anyhow::Result<u64> {
    let Address { address, port } = args.what;
    let port = port.map(|port| format!("&port={port}")).unwrap_or_default();
    let path = format!("/v1/flows/count?address={address}{port}");
    let left: FlowsLeft = client::get_as(&args.client.socket, &path)?;
    Ok(left.flows)
}

fn flows(count: u64) -> String {
    if count == 1 { "1 flow is".to_owned() } else { format!("{count} flows are") }
}

#[expect(clippy::disallowed_methods, reason = "a client's own patience, not the time of packets")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_of_the_whole_backend_that_stands_is_named_with_how_to_end_it() {
        let at = |port| Address { address: [172, 16, 1, 93].into(), port };
        let mut state = DrainedState {
            kind: "backend".into(),
            address: at(None).address,
            port: Some(80),
            since: 1,
            others: vec![at(None)],
        };
        let want = "backend 172.16.1.93:80 still gets no new flows\n\
                    the drain of 172.16.1.93 stands: `portreeve undrain 172.16.1.93` ends it";
        assert_eq!(undrained(&at(Some(80)), &state), want);
        state.others = vec![at(Some(80))];
        let said = undrained(&at(None), &state);
        assert!(said.contains("`portreeve undrain 172.16.1.93:80` ends it"), "{said}");
        state.others.clear();
        assert_eq!(undrained(&at(None), &state), "backend 172.16.1.93 gets new flows");
    }
}
