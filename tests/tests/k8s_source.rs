//! The objects of a real cluster drive the gateway.

use std::time::Duration;

use anyhow::{Result, ensure};
use portreeve_tests::cluster::{Cluster, Pod};
use portreeve_tests::clustered::{self, ClusteredLab, PODS, VIP};
use portreeve_tests::curl;
use portreeve_tests::lab::Lab;
use portreeve_tests::seed::SERVERS;
use portreeve_tests::server::Server;
use portreeve_tests::skip::has_control_plane;
use serde_json::Value;

/// curl's exit code for a refused connection.
const REFUSED: u32 = 7;
const REQUESTS: usize = 40;

fn url() -> String {
    format!("http://{VIP}/")
}

#[test]
fn a_service_is_served_by_its_ready_pods_until_it_is_deleted() -> Result<()> {
    if !has_control_plane("a_service_is_served_by_its_ready_pods_until_it_is_deleted") {
        return Ok(());
    }
    let lab = Lab::new("k8s_source")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    let gateway = world.start_gateway(&cluster, "")?;
    world.add_pods(&cluster)?;
    world.add_service(&cluster)?;
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!((names.as_slice(), bad) == (&["webpod1".into(), "webpod2".into()], 0), "{names:?}");

        cluster.report(&PODS[1], false)?;
        world.await_active(&gateway, "default/svc1", &SERVERS[..1])?;
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names == ["webpod1"] && bad == 0, "not ready, but asked: {names:?}, {bad} failed");

        cluster.report(&PODS[1], true)?;
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        cluster.kubectl(&["delete", "pod", "webpod1", "--grace-period=0", "--force"])?.ok()?;
        world.await_active(&gateway, "default/svc1", &SERVERS[1..])?;
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names == ["webpod2"] && bad == 0, "deleted, but asked: {names:?}, {bad} failed");

        cluster.kubectl(&["delete", "pod", "webpod2", "--grace-period=0", "--force"])?.ok()?;
        let bare = |services: &Value| services[0]["backends"].as_array().is_some_and(Vec::is_empty);
        world.await_answer(&gateway, &["services"], bare)?;
        let answers = curl::get(&world.net.client, &[url()])?;
        ensure!(answers[0].exit == REFUSED, "{answers:?}");

        cluster.kubectl(&["delete", "service", "svc1"])?.ok()?;
        let none = |services: &Value| services.as_array().is_some_and(Vec::is_empty);
        world.await_answer(&gateway, &["services"], none).map(drop)
    })();
    gateway.explain(&world.net.gateway, outcome)
}

#[test]
fn what_is_known_is_served_while_the_api_server_is_away() -> Result<()> {
    if !has_control_plane("what_is_known_is_served_while_the_api_server_is_away") {
        return Ok(());
    }
    let lab = Lab::new("k8s_away")?;
    let world = ClusteredLab::build(&lab)?;
    let mut cluster = world.start_cluster()?;
    let gateway = world.start_gateway(&cluster, "")?;
    world.add_pods(&cluster)?;
    world.add_service(&cluster)?;
    let answers = |wanted: bool| move |status: &Value| status["cluster"]["answers"] == wanted;
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        world.await_answer(&gateway, &["status"], answers(true))?;
        cluster.stop_api_server();
        world.await_answer(&gateway, &["status"], answers(false))?;
        let said = gateway.cli(&world.net.gateway, &["status"])?.ok()?;
        ensure!(said.contains("ALARM: the API server does not answer; 1 services"), "{said}");
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names.len() == 2 && bad == 0, "away: {names:?}, {bad} failed");

        cluster.start_api_server()?;
        // Whatever is read anew meanwhile, the service never loses a pod.
        let back = |services: &Value| {
            let backends = services[0]["backends"].as_array().map_or(0, Vec::len);
            let status = gateway.json(&world.net.gateway, &["status"]);
            backends != 2 || status.is_ok_and(|status| status["cluster"]["answers"] == true)
        };
        let services = world.await_answer(&gateway, &["services"], back)?;
        let backends = services[0]["backends"].as_array().map_or(0, Vec::len);
        ensure!(backends == 2, "a flap: {services:#}");
        cluster.report(&PODS[0], false)?;
        world.await_active(&gateway, "default/svc1", &SERVERS[1..])?;
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names == ["webpod2"] && bad == 0, "back: {names:?}, {bad} failed");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}

/// A definition that lets everything pass, so that what comes is for us to judge.
const LAX_POOLS: &str = "---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: ciliumloadbalancerippools.cilium.io
spec:
  group: cilium.io
  scope: Cluster
  names: {kind: CiliumLoadBalancerIPPool, plural: ciliumloadbalancerippools}
  versions:
    - name: v2
      served: true
      storage: true
      schema:
        openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}
";
const BROKEN: &str = "---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata:
  name: broken
spec:
  blocks: nonsense
---
apiVersion: v1
kind: Service
metadata:
  name: sctp
spec:
  type: LoadBalancer
  ports: [{port: 9, protocol: SCTP}]
---
apiVersion: v1
kind: Service
metadata:
  name: twin
spec:
  type: LoadBalancer
  ports: [{port: 80}]
---
apiVersion: v1
kind: Service
metadata:
  name: own
spec:
  type: LoadBalancer
  ports: [{port: 80}]
---
apiVersion: v1
kind: Service
metadata:
  name: astray
spec:
  type: LoadBalancer
  ports: [{port: 80}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: astray
  labels: {kubernetes.io/service-name: astray}
  annotations: {service.cilium.io/weight: lots}
addressType: IPv4
ports: [{port: 80}]
endpoints: [{addresses: [198.51.100.7]}]
";

/// What is wrong, as `portreeve status` says it of each object.
const COMPLAINTS: [[&str; 3]; 6] = [
    ["CiliumLoadBalancerIPPool", "broken", "Unreadable"],
    ["Service", "sctp", "ProtocolNotSupported"],
    ["Service", "twin", "AddressInUse"],
    ["Service", "own", "ServiceInvalid"],
    ["Service", "astray", "BackendUnreachable"],
    ["Service", "astray", "WeightInvalid"],
];

#[test]
fn broken_objects_are_named_and_change_nothing_else() -> Result<()> {
    if !has_control_plane("broken_objects_are_named_and_change_nothing_else") {
        return Ok(());
    }
    let lab = Lab::new("k8s_broken")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply(LAX_POOLS)?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd", "--all"])?.ok()?;
    world.add_pods(&cluster)?;
    world.add_service(&cluster)?;
    let gateway = world.start_gateway(&cluster, "")?;
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        // Younger by a second at least: of two that want one address, the older has it.
        std::thread::sleep(Duration::from_millis(1_100));
        cluster.apply(BROKEN)?;
        let addresses =
            [("sctp", "10.99.0.2"), ("twin", VIP), ("own", "10.10.200.5"), ("astray", "10.99.0.3")];
        for (service, address) in addresses {
            cluster.give_addresses(service, &[address])?;
        }
        let named = |status: &Value| {
            let all = status["cluster"]["complaints"].as_array().cloned().unwrap_or_default();
            COMPLAINTS.iter().all(|[kind, name, reason]| {
                let same =
                    |c: &Value| c["kind"] == *kind && c["name"] == *name && c["reason"] == *reason;
                all.iter().any(same)
            })
        };
        world.await_answer(&gateway, &["status"], named)?;
        let said = gateway.cli(&world.net.gateway, &["status"])?.ok()?;
        ensure!(
            said.contains("Service default/twin: AddressInUse: default/twin is not served"),
            "{said}"
        );
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names.len() == 2 && bad == 0, "beside broken ones: {names:?}, {bad} failed");
        // What was wrong is right: nothing is said of it any more.
        cluster.give_addresses("twin", &["10.99.0.4"])?;
        let healed = |status: &Value| {
            let all = status["cluster"]["complaints"].as_array().cloned().unwrap_or_default();
            all.iter().all(|complaint| complaint["name"] != "twin")
        };
        world.await_answer(&gateway, &["status"], healed).map(drop)
    })();
    gateway.explain(&world.net.gateway, outcome)
}

#[test]
fn a_gateway_that_may_not_look_says_which_rule_its_role_needs() -> Result<()> {
    if !has_control_plane("a_gateway_that_may_not_look_says_which_rule_its_role_needs") {
        return Ok(());
    }
    let lab = Lab::new("k8s_forbidden")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = Cluster::start(&world.control, clustered::API)?;
    world.add_pods(&cluster)?;
    world.add_service(&cluster)?;
    let gateway = world.start_gateway(&cluster, "")?;
    let outcome = (|| {
        let forbidden = |status: &Value| {
            let kinds = status["cluster"]["kinds"].as_array().cloned().unwrap_or_default();
            let slices = kinds.iter().find(|kind| kind["name"] == "endpointslices");
            slices.is_some_and(|slices| slices["state"] == "forbidden")
        };
        world.await_answer(&gateway, &["status"], forbidden)?;
        let said = gateway.cli(&world.net.gateway, &["status"])?.ok()?;
        let rule = r#"apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["get", "list", "watch"]"#;
        ensure!(said.contains(rule), "{said}");
        ensure!(gateway.log().matches(rule).count() == 1, "said once: {}", gateway.log());
        cluster.allow_gateways()?;
        world.await_active(&gateway, "default/svc1", &SERVERS)
    })();
    gateway.explain(&world.net.gateway, outcome)
}

/// The service of the file, beside those of the cluster.
fn of_file(vip: &str) -> String {
    format!(
        "[[service]]\nname = \"file\"\nvip = \"{vip}\"\nannounce = \"none\"\n\
         ports = [{{ port = 80 }}]\nbackends = [\"{}\"]\n",
        SERVERS[1]
    )
}

#[test]
fn the_file_and_the_cluster_are_served_together() -> Result<()> {
    if !has_control_plane("the_file_and_the_cluster_are_served_together") {
        return Ok(());
    }
    let lab = Lab::new("k8s_both")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    world.add_pods(&cluster)?;
    world.add_service(&cluster)?;
    let gateway = world.start_gateway(&cluster, &of_file("10.99.0.9"))?;
    let config = std::fs::read_to_string(gateway.config_path())?;
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        for (vip, wanted) in [(VIP, 2), ("10.99.0.9", 1)] {
            let (names, bad) = world.who_answers(&format!("http://{vip}/"), REQUESTS)?;
            ensure!(names.len() == wanted && bad == 0, "{vip}: {names:?}, {bad} failed");
        }
        // The file takes the address of the service of the cluster, and gives it back.
        gateway.reload(&config.replace("10.99.0.9", VIP))?;
        let services = gateway.json(&world.net.gateway, &["services"])?;
        ensure!(services.as_array().is_some_and(|all| all.len() == 1), "{services:#}");
        ensure!(services[0]["name"] == "file", "{services:#}");
        let said = gateway.cli(&world.net.gateway, &["status"])?.ok()?;
        ensure!(said.contains("AddressInUse: default/svc1 is not served"), "{said}");
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names == ["webpod2"] && bad == 0, "the file's: {names:?}, {bad} failed");
        gateway.reload(&config)?;
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        // What is bound at the start does not change by itself.
        gateway.reload(&config.replace("node = \"gateway\"", "node = \"other\""))?;
        let status = gateway.json(&world.net.gateway, &["status"])?;
        let problems = status["last_reload"]["problems"].to_string();
        ensure!(problems.contains("[kubernetes] cannot change while"), "{problems}");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}

/// Where the nodes of a cluster that hides its pods in a tunnel are asked.
const NODE_PORT: u16 = 30_080;
const TUNNEL: &str = "---
apiVersion: v1
kind: ConfigMap
metadata:
  name: cilium-config
  namespace: kube-system
data: {routing-mode: tunnel, bpf-lb-maglev-table-size: '4093'}
---
apiVersion: v1
kind: Service
metadata:
  name: svc1
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, nodePort: 30080}]
";

#[test]
fn pods_in_a_tunnel_are_reached_by_node_ports() -> Result<()> {
    if !has_control_plane("pods_in_a_tunnel_are_reached_by_node_ports") {
        return Ok(());
    }
    let lab = Lab::new("k8s_nodeport")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    let entrances = world.net.servers.iter().map(|host| Server::start(host, &[NODE_PORT], &[]));
    let _entrances: Vec<_> = entrances.collect::<Result<_>>()?;
    // Nobody outside has a way to them.
    let hidden = SERVERS.map(|address| address.replace("172.16.", "10.244."));
    let pods = [0, 1].map(|at| Pod { address: &hidden[at], ..PODS[at] });
    world.add_pods_at(&cluster, &pods)?;
    world.report_nodes(&cluster, &SERVERS)?;
    cluster.apply(TUNNEL)?;
    cluster.give_addresses("svc1", &[VIP])?;
    let gateway = world.start_gateway(&cluster, "")?;
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        let services = gateway.json(&world.net.gateway, &["services"])?;
        ensure!(services[0]["backends"][0]["port"] == NODE_PORT, "{services:#}");
        ensure!(services[0]["table_size"] == 4_093, "Cilium's: {services:#}");
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names.len() == 2 && bad == 0, "{names:?}, {bad} failed");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}

#[test]
fn nodes_are_the_routers_of_their_pods() -> Result<()> {
    if !has_control_plane("nodes_are_the_routers_of_their_pods") {
        return Ok(());
    }
    let lab = Lab::new("k8s_pod_routes")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    let inside = SERVERS.map(|address| address.replace("172.16.", "10.244."));
    for (server, address) in world.net.servers.iter().zip(&inside) {
        server.address("lo", &format!("{address}/32"))?;
    }
    let pods = [0, 1].map(|at| Pod { address: &inside[at], ..PODS[at] });
    world.add_pods_at(&cluster, &pods)?;
    world.report_nodes(&cluster, &SERVERS)?;
    world.add_service(&cluster)?;
    let gateway = world.start_gateway(&cluster, "pod_routes = true\n")?;
    let outcome = (|| {
        let astray = |status: &Value| {
            let all = status["cluster"]["complaints"].as_array().cloned().unwrap_or_default();
            all.iter().filter(|complaint| complaint["reason"] == "BackendUnreachable").count() == 2
        };
        world.await_answer(&gateway, &["status"], astray)?;
        for (node, prefix) in [("worker0", "10.244.1.0/24"), ("worker1", "10.244.2.0/24")] {
            let patch = format!(r#"{{"spec":{{"podCIDR":"{prefix}","podCIDRs":["{prefix}"]}}}}"#);
            cluster.kubectl(&["patch", "node", node, "-p", &patch])?.ok()?;
        }
        world.await_answer(&gateway, &["status"], |status| {
            status["cluster"]["complaints"].as_array().is_some_and(Vec::is_empty)
        })?;
        let (names, bad) = world.who_answers(&url(), REQUESTS)?;
        ensure!(names.len() == 2 && bad == 0, "{names:?}, {bad} failed");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}
