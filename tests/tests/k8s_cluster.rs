//! The cluster that other tests use: it is a real one.

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::cluster::{Cluster, Pod, User, node};
use portreeve_tests::lab::Lab;
use portreeve_tests::lab_document;
use portreeve_tests::skip::has_control_plane;
use serde_json::Value;

const ADDRESS: &str = "127.0.0.1";
const POD: Pod<'_> = Pod { namespace: "default", name: "webpod1", address: "172.16.1.93" };
const OBJECTS: &str = "---
apiVersion: v1
kind: Pod
metadata:
  name: webpod1
  labels: {app: web}
spec:
  nodeName: worker1
  containers: [{name: web, image: nginx}]
---
apiVersion: v1
kind: Service
metadata:
  name: svc1
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80}]
";
const POOL: &str = "---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata:
  name: pool
spec:
  blocks: [{cidr: 10.10.200.0/29}]
";

/// Whether a pod is an endpoint that is ready, as its slices say.
fn is_ready(slices: &str, address: &str) -> bool {
    let Ok(slices) = serde_json::from_str::<Value>(slices) else { return false };
    let items = slices["items"].as_array().into_iter().flatten();
    let mut endpoints = items.flat_map(|slice| slice["endpoints"].as_array().into_iter().flatten());
    endpoints.any(|e| e["addresses"][0] == address && e["conditions"]["ready"] == true)
}

#[test]
fn controllers_make_slices_of_pods_and_only_those_who_may_see_them() -> Result<()> {
    if !has_control_plane("controllers_make_slices_of_pods_and_only_those_who_may_see_them") {
        return Ok(());
    }
    let lab = Lab::new("k8s_cluster")?;
    let host = lab.host("control")?;
    let cluster = Cluster::start(&host, ADDRESS)?;
    // A pod's node has to be there first: its slice is not made without.
    cluster.apply(&(node("worker1", &[("kubernetes.io/os", "linux")]) + OBJECTS))?;
    let slices = ["get", "endpointslices", "-l", "kubernetes.io/service-name=svc1", "-o", "json"];
    cluster.report(&POD, true)?;
    cluster.await_output(&slices, |said| is_ready(said, POD.address)).context("it is ready")?;
    cluster.report(&POD, false)?;
    cluster.await_output(&slices, |said| !is_ready(said, POD.address)).context("no more")?;
    let refused = cluster.kubectl_as(User::Gateway, &["get", "services"])?;
    ensure!(!refused.success && refused.stderr.contains("forbidden"), "{refused:?}");
    Ok(())
}

#[test]
fn cilium_objects_are_what_cilium_says() -> Result<()> {
    if !has_control_plane("cilium_objects_are_what_cilium_says") {
        return Ok(());
    }
    let lab = Lab::new("k8s_cilium")?;
    let host = lab.host("control")?;
    let cluster = Cluster::start(&host, ADDRESS)?;
    cluster.apply_cilium_crds()?;
    cluster.apply(POOL)?;
    let shown = cluster.kubectl(&["get", "ippools"])?.ok()?;
    let header = shown.lines().next().unwrap_or_default();
    let columns: Vec<_> = header.split("  ").map(str::trim).filter(|c| !c.is_empty()).collect();
    ensure!(columns == ["NAME", "DISABLED", "CONFLICTING", "IPS AVAILABLE", "AGE"], "{shown}");
    let wrong = cluster.apply(&POOL.replace("10.10.200.0/29", "10.10.200.0/99"));
    let error = wrong.err().context("a prefix that there is not was taken")?;
    ensure!(format!("{error:#}").contains("spec.blocks"), "{error:#}");
    Ok(())
}

#[test]
fn the_api_server_takes_the_lab_document_as_it_stands() -> Result<()> {
    if !has_control_plane("the_api_server_takes_the_lab_document_as_it_stands") {
        return Ok(());
    }
    let lab = Lab::new("k8s_document")?;
    let host = lab.host("control")?;
    let cluster = Cluster::start(&host, ADDRESS)?;
    cluster.apply_cilium_crds()?;
    for piece in lab_document::pieces() {
        cluster.give(&piece.verb, &piece.yaml).with_context(|| piece.yaml.clone())?;
    }
    let names =
        ["get", "ippools,ciliuml2announcementpolicy,ciliumegressgatewaypolicy", "-o", "name"];
    let names = cluster.kubectl(&names)?.ok()?;
    for name in ["cilium-pool", "policy1", "egress-sample"] {
        ensure!(names.contains(name), "{name} is missing: {names}");
    }
    let services = cluster.kubectl(&["get", "services", "-o", "name"])?.ok()?;
    ensure!(services.lines().count() == 4, "svc1 to svc3 beside Kubernetes' own: {services}");
    Ok(())
}
