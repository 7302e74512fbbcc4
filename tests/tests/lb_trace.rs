//! `portreeve trace` says what packets get: each answer is compared with what a real client gets
//! from the same gateway.

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::config::{ports, service};
use portreeve_tests::host::Host;
use portreeve_tests::lab::{Lab, LinkOptions};
use portreeve_tests::seed::{self, SeedLab};
use portreeve_tests::skip::has_root;
use serde_json::Value;

/// Of the first server's subnet; nobody has it.
const NOBODY: &str = "172.16.1.200";
const GATEWAY: &str = "10.10.200.5";

/// What `trace` says; an exit code that does not go with its verdict is an error.
fn trace(net: &SeedLab, appliance: &Appliance, from: &str, to: &str) -> Result<Value> {
    let args = ["trace", "--from", from, "--to", to, "-o", "json"];
    let ran = appliance.cli(&net.gateway, &args)?;
    let trace: Value = serde_json::from_str(&ran.stdout)
        .with_context(|| format!("{from} to {to}: {} {}", ran.stdout, ran.stderr))?;
    let good = matches!(trace["verdict"].as_str(), Some("forwarded" | "answered"));
    ensure!(good == ran.success, "exit code of {trace}");
    Ok(trace)
}

fn step<'t>(trace: &'t Value, at: &str) -> Result<&'t str> {
    let steps = trace["steps"].as_array().context("no steps")?;
    let found = steps.iter().find(|step| step["at"] == at);
    found.and_then(|step| step["says"].as_str()).with_context(|| format!("no {at} in {trace:#}"))
}

fn says(trace: &Value, at: &str, words: &str) -> Result<()> {
    let said = step(trace, at)?;
    ensure!(said.contains(words), "{at} says {said:?}, not {words:?}");
    Ok(())
}

/// Which server answers a client that asks from this port.
fn served_by(client: &Host, port: u16, vip: &str) -> Result<String> {
    let from = port.to_string();
    let url = if vip.contains(':') { format!("http://[{vip}]/") } else { format!("http://{vip}/") };
    let args = ["--silent", "--show-error", "--max-time", "5", "--local-port", &from, &url];
    let text = client.run("curl", &args)?.ok()?;
    let name = text.lines().find_map(|line| line.strip_prefix("Hostname: "));
    Ok(name.with_context(|| text.clone())?.to_owned())
}

fn config() -> String {
    let web = service(seed::VIPS[0], &seed::SERVERS, "{ port = 80 }");
    let web6 = service(seed::VIPS_V6[0], &seed::SERVERS_V6, "{ port = 80 }");
    let lost = service(seed::VIPS[1], &[NOBODY], "{ port = 80 }");
    let empty = service(seed::VIPS[2], &[], "{ port = 80 }");
    ports(&seed::PORTS) + &web + &web6 + &lost + &empty
}

/// Both servers have answered: from then on it is known how they are reached.
fn meets_both_servers(client: &Host, vip: &str) -> Result<()> {
    let mut met = std::collections::BTreeSet::new();
    // curl takes a port for both families.
    let first = if vip.contains(':') { 38_000 } else { 39_000 };
    for port in first..first + 100 {
        met.insert(served_by(client, port, vip)?);
        if met.len() == 2 {
            return Ok(());
        }
    }
    anyhow::bail!("a hundred requests were answered by {met:?}")
}

/// Before each request it is asked who will answer it, after it what became of the connection.
fn names_the_backend(net: &SeedLab, appliance: &Appliance) -> Result<()> {
    let families = [
        (40_000, seed::CLIENT, seed::VIPS[0], seed::SERVERS),
        (40_008, seed::CLIENT_V6, seed::VIPS_V6[0], seed::SERVERS_V6),
    ];
    for (first, client, vip, servers) in families {
        meets_both_servers(&net.client, vip)?;
        for port in first..first + 8_u16 {
            let quoted = |addr: &str, port: u16| match addr.contains(':') {
                true => format!("[{addr}]:{port}"),
                false => format!("{addr}:{port}"),
            };
            let (from, to) = (quoted(client, port), quoted(vip, 80));
            let before = trace(net, appliance, &from, &to)?;
            ensure!(before["verdict"] == "forwarded", "{before:#}");
            says(&before, "in", "ens5")?;
            says(&before, "steering", "(owned)")?;
            says(&before, "flow", "no such connection")?;
            says(&before, "backend", "Maglev slot")?;
            let server = served_by(&net.client, port, vip)?;
            let at = usize::from(server == "webpod2");
            ensure!(before["backend"] == quoted(servers[at], 80), "{server}, but {before:#}");
            ensure!(before["out_port"] == seed::PORTS[at + 1], "{before:#}");
        }
    }
    Ok(())
}

#[test]
fn a_trace_says_what_packets_get() -> Result<()> {
    if !has_root("a_trace_says_what_packets_get") {
        return Ok(());
    }
    let lab = Lab::new("lb_trace")?;
    let net = SeedLab::build(&lab, LinkOptions::default())?;
    let appliance = Appliance::start(&net.gateway, &config())?;
    let told = names_the_backend(&net, &appliance);
    appliance.explain(&net.gateway, told)?;
    stops_are_named(&net, &appliance)?;
    a_live_connection_is_found(&net, &appliance)
}

fn stops_are_named(net: &SeedLab, appliance: &Appliance) -> Result<()> {
    let from = format!("{}:40000", seed::CLIENT);
    let to = |vip: &str, rest: &str| format!("{vip}:{rest}");
    for (target, verdict, reason) in [
        (to(seed::VIPS[0], "81/tcp"), "refused", "unknown_port"),
        (to(seed::VIPS[0], "80/udp"), "refused", "unknown_port"),
        (to(seed::VIPS[1], "80"), "waits", "hop_unresolved"),
        (to(seed::VIPS[2], "80"), "refused", "no_backend"),
    ] {
        let found = trace(net, appliance, &from, &target)?;
        ensure!(found["verdict"] == verdict && found["reason"] == reason, "{target}: {found:#}");
        ensure!(found["advice"].is_string(), "{target}: {found:#}");
    }
    for target in [to(GATEWAY, "22"), to("10.10.200.4", "80")] {
        let found = trace(net, appliance, &from, &target)?;
        ensure!(found["verdict"] == "left_to_kernel", "{target}: {found:#}");
    }
    let ping = trace(net, appliance, seed::CLIENT, seed::VIPS[0])?;
    ensure!(ping["verdict"] == "answered", "{ping:#}");
    says(&ping, "answer", &net.gateway_mac(seed::PORTS[0])?)?;
    let wrong = ["trace", "--from", seed::CLIENT, "--to", seed::VIPS[0], "--in", "eth9"];
    let ran = appliance.cli(&net.gateway, &wrong)?;
    ensure!(!ran.success && ran.stderr.contains("ens5, ens6, ens7"), "{}", ran.stderr);
    let text = ["trace", "--from", &from, "--to", &to(seed::VIPS[2], "80")];
    let text = appliance.cli(&net.gateway, &text)?.stdout;
    println!("{text}");
    ensure!(text.contains("no_backend") && text.contains("what to do"), "{text}");
    Ok(())
}

fn a_live_connection_is_found(net: &SeedLab, appliance: &Appliance) -> Result<()> {
    let vip = format!("{}:80", seed::VIPS[0]);
    let open = portreeve_tests::connections::Connection::open(&net.client, vip.parse()?)?;
    let flows = appliance.json(&net.gateway, &["flows", "--limit", "1000"])?;
    let flows = flows.as_array().context("no list")?;
    let flow = flows.iter().find(|flow| flow["state"] == "established").context("no flow")?;
    let text = |key: &str| flow[key].as_str().map(str::to_owned).context("no text");
    let forward = trace(net, appliance, &text("client")?, &vip)?;
    says(&forward, "flow", "established")?;
    ensure!(forward["backend"] == flow["backend"], "{forward:#}");
    ensure!(forward["source"] == flow["snat"], "{forward:#}");
    let back = trace(net, appliance, &text("backend")?, &text("snat")?)?;
    says(&back, "steering", "(port_range)")?;
    says(&back, "flow", "established")?;
    ensure!(back["verdict"] == "forwarded" && back["out_port"] == "ens5", "{back:#}");
    let human = ["trace", "--from", &text("client")?, "--to", &vip];
    println!("{}", appliance.cli(&net.gateway, &human)?.stdout);
    drop(open);
    let stray = trace(net, appliance, &text("backend")?, "172.16.1.1:64000")?;
    ensure!(stray["reason"] == "reply_unknown", "{stray:#}");
    Ok(())
}
