//! Policies and leases of a real cluster decide who announces an address.

use std::net::IpAddr;

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::clustered::{ClusteredLab, SERVICE, TIMES};
use portreeve_tests::curl;
use portreeve_tests::lab::Lab;
use portreeve_tests::lab_document;
use portreeve_tests::seed::{SERVERS, VIPS};
use portreeve_tests::skip::has_control_plane;
use portreeve_tests::sniffer::{self, Sniffer};
use serde_json::{Value, json};

const METRICS: &str = "127.0.0.1:9100";
const LEASE: &str = "cilium-l2announce-default-svc1";

/// Selects nothing, since one of its expressions does not compile.
const BAD: &str = "---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: bad}
spec: {loadBalancerIPs: true, interfaces: [\"ens[\"]}
";

/// Whether a frame is an ARP packet of this address, an answer or a gratuitous one.
fn says_it_has(frame: &[u8], address: IpAddr) -> bool {
    frame.get(12..14) == Some(&[8, 6])
        && sniffer::addresses(frame).is_some_and(|at| at.0 == address)
}

fn complains_of_color(status: &Value) -> bool {
    let complaints = status["cluster"]["complaints"].as_array().into_iter().flatten();
    let mut words = complaints.filter(|complaint| complaint["reason"] == "NotAnnounced");
    words.any(|found| {
        let message = found["message"].as_str().unwrap_or_default();
        message.contains("default/svc1") && message.contains("label 'color' is missing")
    })
}

/// While `LEASE` leads.
fn is_counted(world: &ClusteredLab) -> Result<()> {
    let url = format!("http://{METRICS}/metrics");
    let text = world.net.gateway.run("curl", &["--silent", "--fail", &url])?.ok()?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.with_context(|| format!("{name}:\n{text}"))?.parse::<f64>().context("no number")
    };
    ensure!(value("portreeve_cluster_connected{}")? == 1.0, "{text}");
    // Its own heartbeat is heard of, if nothing else is.
    ensure!(value("portreeve_cluster_last_answer_seconds{}")? < 10.0, "{text}");
    ensure!(value("portreeve_cluster_objects{kind=\"ciliuml2announcementpolicies\"}")? == 2.0);
    ensure!(value("portreeve_cluster_lists_total{kind=\"services\"}")? >= 1.0, "{text}");
    let count = value("portreeve_cluster_publication_seconds_count")?;
    let longest = "portreeve_cluster_publication_seconds_bucket{le=\"+Inf\"}";
    ensure!(count >= 1.0 && value(longest)? == count, "{text}");
    ensure!(value(&format!("portreeve_lease_leads{{lease=\"{LEASE}\"}}"))? == 1.0, "{text}");
    let left = value(&format!("portreeve_lease_left_seconds{{lease=\"{LEASE}\"}}"))?;
    ensure!(left > 0.0 && left <= 3.0, "{left} s are left of three");
    ensure!(value("portreeve_leases_taken_total{}")? >= 1.0, "{text}");
    Ok(())
}

/// What `portreeve services` says of who announces svc1.
fn announcement(services: &Value) -> Option<&Value> {
    let mut all = services.as_array()?.iter();
    all.find(|service| service["name"] == "default/svc1").map(|service| &service["announcement"])
}

/// Whether it is announced by nobody, for want of the label.
fn lacks_color(services: &Value) -> bool {
    let words = |of: &Value| of["why_not"].as_str().map(str::to_owned);
    announcement(services).is_some_and(|of| {
        let words = words(of).unwrap_or_default();
        of["ours"] == false && of["lease"].is_null() && words.contains("label 'color' is missing")
    })
}

/// Whoever asks for the address gets no answer.
fn is_silent(world: &ClusteredLab, vip: IpAddr) -> Result<()> {
    let client = &world.net.client;
    let sniffer = Sniffer::start(client, "ens5", move |frame| says_it_has(frame, vip))?;
    client.ip(&["neigh", "flush", "dev", "ens5"])?;
    let answers = curl::get(client, &[format!("http://{vip}/")])?;
    ensure!(!answers[0].is_good(), "{answers:?}");
    let heard = sniffer.stop()?;
    ensure!(heard.matching == 0, "it is announced: {heard:?}");
    Ok(())
}

#[test]
fn what_a_policy_selects_is_announced_and_nothing_else() -> Result<()> {
    if !has_control_plane("what_a_policy_selects_is_announced_and_nothing_else") {
        return Ok(());
    }
    let lab = Lab::new("k8s_l2")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    let metrics = format!("[gateway]\nmetrics = \"{METRICS}\"\n");
    let gateway = world.start_gateway(&cluster, &(TIMES.to_owned() + &metrics))?;
    world.add_pods(&cluster)?;
    let policy = &lab_document::pieces()[0];
    cluster.give(&policy.verb, &policy.yaml)?;
    cluster.apply(&(BAD.to_owned() + SERVICE))?;
    cluster.give_addresses("svc1", &VIPS[..1])?;
    let vip: IpAddr = VIPS[0].parse()?;
    let url = format!("http://{vip}/");
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        world.await_answer(&gateway, &["status"], complains_of_color)?;
        let services = world.await_answer(&gateway, &["services"], lacks_color)?;
        ensure!(services[0]["announce"] == json!([]), "{services:#}");
        let shown = gateway.cli(&world.net.gateway, &["services"])?.ok()?;
        ensure!(shown.contains("not announced by us: policy 'policy1'"), "{shown}");
        let columns = "custom-columns=OBJECT:.involvedObject.name,MESSAGE:.message";
        let events = ["get", "events", "--no-headers", "-o", columns];
        cluster.await_output(&events, |said| {
            said.lines()
                .any(|line| line.starts_with("svc1 ") && line.contains("label 'color' is missing"))
        })?;
        is_silent(&world, vip).context("nobody selects it")?;
        let leases =
            cluster.kubectl(&["-n", "kube-system", "get", "leases", "-o", "name"])?.ok()?;
        ensure!(!leases.contains("l2announce"), "{leases}");
        ensure!(leases.contains("portreeve-gateway-gateway"), "{leases}");

        let bad = ["get", "ciliuml2announcementpolicy", "bad", "-o", "json"];
        cluster.await_output(&bad, |said| said.contains("io.cilium/bad-interface-regex"))?;

        cluster.kubectl(&["label", "svc", "svc1", "color=blue"])?.ok()?;
        let leads = |leases: &Value| leases[0]["leads"] == true && leases[0]["lease"] == LEASE;
        world.await_answer(&gateway, &["leases"], leads)?;
        let ours = |services: &Value| announcement(services).is_some_and(|of| of["ours"] == true);
        let services = world.await_answer(&gateway, &["services"], ours)?;
        let said = json!({"ours": true, "lease": LEASE, "holder": "gateway"});
        ensure!(announcement(&services) == Some(&said), "{services:#}");
        ensure!(services[0]["announce"] == json!(["ens5", "ens6", "ens7"]), "{services:#}");
        let holder = ["-n", "kube-system", "get", "lease", LEASE, "-o", "json"];
        let lease: Value = serde_json::from_str(&cluster.kubectl(&holder)?.ok()?)?;
        ensure!(lease["spec"]["holderIdentity"] == "gateway", "{lease:#}");
        ensure!(lease["spec"]["leaseDurationSeconds"] == 3, "{lease:#}");
        world.net.client.ip(&["neigh", "flush", "dev", "ens5"])?;
        let (names, bad) = world.who_answers(&url, 20).context("it is announced")?;
        ensure!(names == ["webpod1", "webpod2"] && bad == 0, "{names:?}, {bad} failed");
        is_counted(&world)?;

        cluster.kubectl(&["label", "svc", "svc1", "color-"])?.ok()?;
        world.await_answer(&gateway, &["status"], complains_of_color)?;
        world.await_answer(&gateway, &["services"], lacks_color)?;
        cluster.await_output(&holder, |said| {
            let lease: Value = serde_json::from_str(said).unwrap_or_default();
            lease["spec"]["holderIdentity"].as_str().unwrap_or_default().is_empty()
        })?;
        is_silent(&world, vip).context("nobody selects it any more")
    })();
    gateway.explain(&world.net.gateway, outcome)
}
