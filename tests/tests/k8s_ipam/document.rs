use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portreeve_tests::cluster::{Pod, node};
use portreeve_tests::clustered::ClusteredLab;
use portreeve_tests::lab::Lab;
use portreeve_tests::lab_document;
use portreeve_tests::seed::{SERVERS, VIPS};
use portreeve_tests::skip::has_control_plane;

const REQUESTS: usize = 40;
/// The host of the document that asks, and its router.
const FAR: [&str; 2] = ["192.168.10.10", "192.168.10.1"];
/// The document's pods, by their addresses there.
const PODS: [Pod<'static>; 2] = [
    Pod { namespace: "default", name: "webpod1", address: SERVERS[0] },
    Pod { namespace: "default", name: "webpod2", address: SERVERS[1] },
];
/// What the document shows before there are services, but for the age.
const BEFORE: &str = "NAME          DISABLED   CONFLICTING   IPS AVAILABLE   AGE
cilium-pool   false      False         6               <age>
";

/// The client is no neighbour of the VIPs any more: it routes them to the gateway, as the document's does.
fn move_client_away(world: &ClusteredLab) -> Result<()> {
    let (client, gateway) = (&world.net.client, &world.net.gateway);
    client.ip(&["-4", "addr", "flush", "dev", "ens5"])?;
    gateway.ip(&["-4", "addr", "flush", "dev", "ens5"])?;
    client.address("ens5", &format!("{}/24", FAR[0]))?;
    gateway.address("ens5", &format!("{}/24", FAR[1]))?;
    client.route("10.10.200.0/29", FAR[1])
}

/// Columns of a line of kubectl.
fn columns(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect()
}

#[test]
fn services_of_the_lab_document_get_its_addresses_and_answer() -> Result<()> {
    if !has_control_plane("services_of_the_lab_document_get_its_addresses_and_answer") {
        return Ok(());
    }
    let lab = Lab::new("k8s_addresses")?;
    let world = ClusteredLab::build(&lab)?;
    move_client_away(&world)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    // Nobody says what is on: there is no operator of Cilium.
    let gateway = world.start_gateway(&cluster, "")?;
    cluster.apply(&(node("k8s-w1", &[]) + &node("k8s-w2", &[])))?;
    let outcome = (|| {
        let pieces = lab_document::pieces();
        for piece in &pieces[..2] {
            cluster.give(&piece.verb, &piece.yaml)?;
        }
        let table = |table: &str| crate::shown::ageless(table) == BEFORE;
        cluster.await_output(&["get", "ippools"], table)?;

        let begun = Instant::now();
        cluster.give(&pieces[2].verb, &pieces[2].yaml)?;
        PODS.iter().try_for_each(|pod| cluster.report(pod, true))?;
        let kinds = "svc,ippools,ciliuml2announcementpolicy";
        let given = |said: &str| said.lines().filter(|line| line.contains(" 10.10.200.")).count();
        let shown = cluster.await_output(&["get", kinds], |said| given(said) == 3)?;
        ensure!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
        for (service, vip) in ["service/svc1", "service/svc2", "service/svc3"].iter().zip(VIPS) {
            let line = shown.lines().find(|line| line.starts_with(service)).unwrap_or_default();
            let found = columns(line);
            ensure!(found.len() == 6 && found[1] == "LoadBalancer" && found[3] == vip, "{shown}");
            ensure!(found[4].starts_with("80:") && found[4].ends_with("/TCP"), "{shown}");
        }
        let after = |said: &str| crate::shown::ageless(said) == BEFORE.replace("6 ", "3 ");
        cluster.await_output(&["get", "ippools"], after)?;
        let policies = cluster.kubectl(&["get", "ciliuml2announcementpolicy"])?.ok()?;
        ensure!(
            policies.lines().map(|line| columns(line)[0]).eq(["NAME", "policy1"]),
            "{policies}"
        );

        for (service, vip) in ["svc1", "svc2", "svc3"].iter().zip(VIPS) {
            world.await_active(&gateway, &format!("default/{service}"), &SERVERS)?;
            let (names, bad) = world.who_answers(&format!("http://{vip}/"), REQUESTS)?;
            ensure!(names == ["webpod1", "webpod2"] && bad == 0, "{vip}: {names:?}, {bad} failed");
        }
        let pools = gateway.cli(&world.net.gateway, &["pools"])?.ok()?;
        ensure!(pools.contains("Addresses are given by this gateway"), "{pools}");
        let holder = |line: &str| columns(line) == ["10.10.200.2", "default/svc2"];
        ensure!(pools.lines().any(holder), "{pools}");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}
