//! Many services, and one change among them. CI asserts three times what is promised on a quiet machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::cluster::Cluster;
use portreeve_tests::clustered::ClusteredLab;
use portreeve_tests::lab::Lab;
use portreeve_tests::skip::has_control_plane;
use serde_json::{Value, json};

const SERVICES: usize = 2_000;
const ENDPOINTS: usize = 10;
/// Connections that write at once.
const WRITERS: usize = 8;
/// After the last write all services are served.
const APPEAR: Duration = Duration::from_secs(3 * 15);
const CHANGES: usize = 200;
/// From the request to the API server until every worker has it, of 99 in a hundred changes.
const REACH: Duration = Duration::from_millis(3 * 50);
/// Time on a core for a change: a hundred of them a second take 30 % of one.
const CPU: Duration = Duration::from_millis(3 * 3);
/// What all services may take, in bytes.
const MEMORY: u64 = 200 << 20;
/// So many of them are announced, by a lease each.
const ANNOUNCED: usize = 50;
/// All of them get addresses, and one in forty is announced.
const POOL_AND_POLICY: &str = "---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: pool}
spec: {blocks: [{cidr: 10.99.0.0/16}]}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: blue}
spec: {loadBalancerIPs: true, serviceSelector: {matchLabels: {color: blue}}}
";
const SERVICES_PATH: &str = "/api/v1/namespaces/default/services";
const SLICES_PATH: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

type Request = (&'static str, String, String);

fn addresses(service: usize, from: usize) -> Vec<Value> {
    let at = |n: usize| format!("172.16.{}.{}", 1 + n % 2, 10 + (service + n) % 80);
    (from..from + ENDPOINTS)
        .map(|n| json!({"addresses": [at(n)], "conditions": {"ready": true}}))
        .collect()
}

/// What makes one service: its endpoints first.
fn objects(service: usize) -> [Request; 2] {
    let name = format!("svc{service}");
    let labels = json!({"kubernetes.io/service-name": name});
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": labels},
        "ports": [{"port": 80}], "endpoints": addresses(service, 0),
    });
    let color = if service.is_multiple_of(SERVICES / ANNOUNCED) { "blue" } else { "red" };
    let wanted = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": name, "labels": {"color": color}},
        "spec": {"type": "LoadBalancer", "ports": [{"port": 80}]},
    });
    [
        ("POST", SLICES_PATH.to_owned(), slice.to_string()),
        ("POST", SERVICES_PATH.to_owned(), wanted.to_string()),
    ]
}

fn write_all(cluster: &Cluster<'_>) -> Result<()> {
    let requests: Vec<Request> = (0..SERVICES).flat_map(objects).collect();
    let share = requests.len().div_ceil(WRITERS);
    std::thread::scope(|scope| {
        let writers: Vec<_> =
            requests.chunks(share).map(|part| scope.spawn(move || cluster.send(part))).collect();
        for writer in writers {
            writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        Ok(())
    })
}

/// What the gateway says of the cluster, without a process for each question.
fn cluster_state(gateway: &Appliance) -> Result<Value> {
    let mut socket = UnixStream::connect(gateway.socket_path()).context("the admin socket")?;
    socket.write_all(b"GET /v1/status HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")?;
    let mut answer = BufReader::new(socket);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        ensure!(answer.read_line(&mut line)? > 0, "no answer");
    }
    let mut body = String::new();
    answer.read_to_string(&mut body)?;
    let status: Value = serde_json::from_str(&body).context("the answer")?;
    Ok(status["cluster"].clone())
}

fn await_state(gateway: &Appliance, most: Duration, enough: impl Fn(&Value) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let state = cluster_state(gateway)?;
        if enough(&state) {
            return Ok(());
        }
        ensure!(
            begun.elapsed() < most,
            "{} services, {:?}",
            state["services"],
            state["complaints"][0]
        );
        // Nothing tells the outside when tables are adopted.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Leases that are ours.
fn led(state: &Value) -> usize {
    let leases = state["leases"].as_array().into_iter().flatten();
    leases.filter(|lease| lease["leads"] == true).count()
}

/// How long one change takes from its request to every worker.
fn change(cluster: &Cluster<'_>, gateway: &Appliance, number: usize) -> Result<Duration> {
    let before = cluster_state(gateway)?["changes"].as_u64().context("no changes")?;
    let service = number * 7 % SERVICES;
    let body = json!({"endpoints": addresses(service, 1 + number % 3)}).to_string();
    let patch = ("PATCH", format!("{SLICES_PATH}/svc{service}"), body);
    let (took, answered, seen) = std::thread::scope(|scope| {
        let sent =
            scope.spawn(|| Ok::<_, anyhow::Error>((cluster.send(&[patch])?[0], Instant::now())));
        let more = |state: &Value| state["changes"].as_u64() > Some(before);
        await_state(gateway, Duration::from_secs(20), more)?;
        let seen = Instant::now();
        let (took, answered) =
            sent.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok::<_, anyhow::Error>((took, answered, seen))
    })?;
    let sent = answered - Duration::from_secs_f64(took);
    Ok(seen.saturating_duration_since(sent))
}

/// What control and the thread that speaks with the API server need for one of many changes, while nobody
/// asks them anything.
fn cpu_of_changes(cluster: &Cluster<'_>, gateway: &Appliance) -> Result<Duration> {
    let patch = |number: usize| {
        let (service, from) = (number * 11 % SERVICES, 2 + number % 3);
        let body = json!({"endpoints": addresses(service, from)}).to_string();
        ("PATCH", format!("{SLICES_PATH}/svc{service}"), body)
    };
    let before = cpu(gateway)?;
    cluster.send(&(0..CHANGES).map(patch).collect::<Vec<_>>())?;
    // The last of all has come through when this one has.
    change(cluster, gateway, 0)?;
    Ok((cpu(gateway)? - before) / u32::try_from(CHANGES)?)
}

/// The time on cores of control and of the thread that speaks with the API server.
fn cpu(gateway: &Appliance) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir(format!("/proc/{}/task", gateway.process()?.pid()))? {
        let task = task?.path();
        let name = std::fs::read_to_string(task.join("comm"))?;
        if ["portreeve", "kubernetes"].contains(&name.trim()) {
            let stat = std::fs::read_to_string(task.join("schedstat"))?;
            let spent = stat.split(' ').next().context("no schedstat")?;
            nanoseconds += spent.parse::<u64>().context("schedstat")?;
        }
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// Bytes of memory that is the gateway's own, its packet memory included.
fn anonymous(gateway: &Appliance) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.process()?.pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).context("RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? << 10)
}

#[test]
fn two_thousand_services_appear_and_one_change_among_them_is_quick() -> Result<()> {
    if !has_control_plane("two_thousand_services_appear_and_one_change_among_them_is_quick") {
        return Ok(());
    }
    let lab = Lab::new("k8s_scale")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    cluster.apply(POOL_AND_POLICY)?;
    let gateway = world.start_gateway(&cluster, "")?;
    let bare = anonymous(&gateway)?;
    let outcome = (|| {
        let begun = Instant::now();
        write_all(&cluster)?;
        let written = Instant::now();
        await_state(&gateway, APPEAR, |state| state["services"] == SERVICES)?;
        let appeared = written.elapsed();
        await_state(&gateway, APPEAR, |state| led(state) == ANNOUNCED)?;
        let wrote = written - begun;
        let mut took: Vec<_> =
            (0..CHANGES).map(|number| change(&cluster, &gateway, number)).collect::<Result<_>>()?;
        took.sort_unstable();
        let (median, p99) = (took[CHANGES / 2], took[CHANGES * 99 / 100]);
        println!(
            "written in {wrote:?}, there {appeared:?} later; a change: {median:?}, p99 {p99:?}"
        );
        ensure!(p99 <= REACH, "a change takes {median:?}, p99 {p99:?}");
        let each = cpu_of_changes(&cluster, &gateway)?;
        let grown = anonymous(&gateway)?.saturating_sub(bare);
        println!("control needs {each:?} for a change, and {} MiB for all", grown >> 20);
        ensure!(each <= CPU, "control needs {each:?} for a change");
        ensure!(grown <= MEMORY, "all services take {} MiB", grown >> 20);
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}
