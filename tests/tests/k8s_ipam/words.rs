use std::time::Duration;

use anyhow::{Result, ensure};
use portreeve_tests::clustered::{ClusteredLab, SERVICE};
use portreeve_tests::lab::Lab;
use portreeve_tests::skip::has_control_plane;
use serde_json::Value;

/// A pool that can be used, and one that cannot: the definition lets both pass.
const POOLS: &str = "---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata:
  name: good
spec:
  blocks: [{start: 10.99.0.1, stop: 10.99.0.9}]
---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata:
  name: backwards
spec:
  blocks: [{start: 10.98.0.9, stop: 10.98.0.1}]
";
const LEASE: &str = "---
apiVersion: coordination.k8s.io/v1
kind: Lease
metadata:
  name: cilium-operator-resource-lock
  namespace: kube-system
spec: {holderIdentity: operator, leaseDurationSeconds: 4, renewTime: '2020-01-01T00:00:00.000000Z'}
";

fn address() -> [&'static str; 5] {
    ["get", "service", "svc1", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}"]
}

#[test]
fn what_is_wrong_with_an_object_is_an_event_on_it() -> Result<()> {
    if !has_control_plane("what_is_wrong_with_an_object_is_an_event_on_it") {
        return Ok(());
    }
    let lab = Lab::new("k8s_events")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    let mut gateway = world.start_gateway(&cluster, "")?;
    let outcome = (|| {
        cluster.apply(POOLS)?;
        cluster.apply(
            &SERVICE.replace("name: svc1", "name: svc1\n  annotations: {portreeve.io/mode: odd}"),
        )?;
        let events = ["get", "events.events.k8s.io", "-A", "-o", "json"];
        let count = |said: &str, name: &str| {
            let all: Value = serde_json::from_str(said).unwrap_or_default();
            let ours = all["items"].as_array().cloned().unwrap_or_default().into_iter();
            let ours = ours.filter(|event| event["reportingController"] == "portreeve.io/gateway");
            let ours = ours.filter(|event| event["regarding"]["name"] == name);
            ours.filter(|event| {
                event["reportingInstance"] == "gateway" && event["type"] == "Warning"
            })
            .count()
        };
        let all = |said: &str| count(said, "svc1") > 0 && count(said, "backwards") == 1;
        let before = cluster.await_output(&events, all)?;
        ensure!(count(&before, "good") == 0, "{before}");
        let told = cluster.kubectl(&["describe", "ippool", "backwards"])?.ok()?;
        ensure!(told.contains("PoolInvalid") && told.contains("comes after stop"), "{told}");
        // A gateway that starts again goes on with the Event that is there.
        gateway.restart(&world.net.gateway)?;
        let counted = |said: &str| said.contains("\"series\"");
        let after = cluster.await_output(&events, counted)?;
        ensure!(count(&after, "backwards") == 1, "{after}");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}

#[test]
fn addresses_are_left_to_an_operator_of_cilium_while_it_is_alive() -> Result<()> {
    if !has_control_plane("addresses_are_left_to_an_operator_of_cilium_while_it_is_alive") {
        return Ok(());
    }
    let lab = Lab::new("k8s_operator")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    cluster.apply(LEASE)?;
    cluster.apply(POOLS)?;
    cluster.apply(SERVICE)?;
    let gateway = world.start_gateway(&cluster, "")?;
    let outcome = (|| {
        let says = |words: &'static str| move |pools: &Value| pools["allocator"] == words;
        let renew = |second: u32| {
            let patch =
                format!(r#"{{"spec":{{"renewTime":"2020-01-01T00:00:{second:02}.000000Z"}}}}"#);
            let lease = ["patch", "lease", "cilium-operator-resource-lock", "-n", "kube-system"];
            cluster.kubectl(&[&lease[..], &["--type=merge", "-p", &patch]].concat())?.ok()
        };
        let operator = says("given by an operator of Cilium");
        for second in 1..8 {
            renew(second)?;
            world.await_answer(&gateway, &["pools"], operator)?;
            // Its own pace; the lease would have run out twice in this time.
            std::thread::sleep(Duration::from_millis(1_200));
        }
        ensure!(cluster.kubectl(&address())?.ok()?.is_empty(), "an address was given");
        // It renews no more: whatever its clock says, by ours it has run out.
        world.await_answer(&gateway, &["pools"], says("given by this gateway"))?;
        cluster.await_output(&address(), |ip| ip == "10.99.0.1")?;
        // It is back, and keeps what was given.
        renew(30)?;
        world.await_answer(&gateway, &["pools"], operator)?;
        // It is told to leave addresses to others.
        let told = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cilium-config, namespace: kube-system}\n\
                    data: {enable-lb-ipam: 'false'}\n";
        cluster.apply(told)?;
        renew(31)?;
        world.await_answer(&gateway, &["pools"], says("given by this gateway"))?;
        ensure!(cluster.kubectl(&address())?.ok()? == "10.99.0.1", "renumbered");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}
