//! An API server that is away for a while: packets go on, announcing does what the file says, and when the
//! server is back everything is as it was. `PORTREEVE_FULL=1` has it away for a minute.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::cluster::{Cluster, User};
use portreeve_tests::config;
use portreeve_tests::forgetful;
use portreeve_tests::host::Host;
use portreeve_tests::lab::Lab;
use portreeve_tests::pair::{self, PairLab};
use portreeve_tests::seed::{ECHO, VIPS};
use portreeve_tests::skip::has_control_plane;
use portreeve_tests::sniffer::{self, Sniffer};
use portreeve_tests::steady::Steady;

const LEASE: Duration = Duration::from_secs(3);
/// With `PORTREEVE_FULL=1`, and without.
const AWAY: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(8)];
/// A look at whether anybody answers.
const LOOK: Duration = Duration::from_secs(1);
/// Time after which everybody who is silent for want of a lease is silent.
const SILENT: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(30);
/// Datagrams a second of the client that knows the way.
const RATE: u32 = 1_000;
/// What forwarding may stand still for on a machine that starts an API server.
const HICCUP: Duration = Duration::from_secs(1);
const OBJECTS: &str = "---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: all}
spec: {loadBalancerIPs: true, interfaces: [ens5]}
---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: pool}
spec: {blocks: [{start: 10.10.200.1, stop: 10.10.200.3}]}
---
apiVersion: v1
kind: Service
metadata: {name: echo}
spec:
  type: LoadBalancer
  ports: [{port: 7, protocol: UDP}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: echo-1
  labels: {kubernetes.io/service-name: echo}
addressType: IPv4
ports: [{port: 7, protocol: UDP}]
endpoints:
- {addresses: [172.16.0.11], conditions: {ready: true}}
- {addresses: [172.16.0.12], conditions: {ready: true}}
";
const INGRESS: [&str; 4] = ["get", "service", "echo", "-ojsonpath={.status.loadBalancer.ingress}"];
const HOLDER: [&str; 6] = [
    "get",
    "lease",
    "-n",
    "kube-system",
    "cilium-l2announce-default-echo",
    "-ojsonpath={.spec.holderIdentity} {.spec.leaseTransitions}",
];

fn start(cluster: &Cluster<'_>, host: &Host, node: &str, loss: &str) -> Result<Appliance> {
    let text = format!(
        "{}[kubernetes]\nkubeconfig = \"{}\"\nnode = \"{node}\"\nipam = \"on\"\non_api_loss = \"{loss}\"\n\
         lease_duration = \"3s\"\nrenew_deadline = \"1s\"\nretry_period = \"200ms\"\n",
        config::ports(&pair::PORTS),
        cluster.kubeconfig(User::Gateway).display()
    );
    Appliance::start(host, &text)
}

/// Stations that said that they have the VIP, in order; the same one again is left out.
type Speakers = Arc<Mutex<Vec<[u8; 6]>>>;

fn listen(host: &Host, speakers: &Speakers) -> Result<Sniffer> {
    let (vip, speakers) = (VIPS[0].parse::<IpAddr>()?, Arc::clone(speakers));
    Sniffer::start(host, "ens5", move |frame| {
        let arp = frame.get(12..14) == Some(&[8, 6]);
        let from = frame.get(6..12).and_then(|mac| <[u8; 6]>::try_from(mac).ok());
        let says = arp && sniffer::addresses(frame).is_some_and(|(from, _)| from == vip);
        let mut heard = speakers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(from) = from.filter(|from| says && heard.last() != Some(from)) {
            heard.push(from);
        }
        says
    })
}

/// Which of them leads, as both see it.
fn await_leader(gateways: &[Appliance; 2], hosts: &[Host; 2]) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let mut leads = Vec::new();
        for (gateway, host) in gateways.iter().zip(hosts) {
            leads.push(gateway.json(host, &["leases"])?[0]["leads"] == true);
        }
        if let [one, two] = leads[..]
            && one != two
        {
            return Ok(usize::from(two));
        }
        ensure!(begun.elapsed() < SETTLE, "{leads:?}\n{}", gateways[0].log_tail());
        // Nothing tells the outside.
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits while a client that knows nobody asks; whether it was answered all along, or never.
fn is_answered(newcomer: &Host, to: SocketAddr, time: Duration) -> Result<bool> {
    let over = AtomicBool::new(false);
    let silence = std::thread::scope(|scope| {
        let asker = scope.spawn(|| forgetful::longest_silence(newcomer, "ens5", to, &over));
        std::thread::sleep(time);
        over.store(true, Ordering::Release);
        asker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    ensure!(
        silence < time / 2 || silence > time * 3 / 4,
        "{silence:?} of {time:?} without an answer"
    );
    Ok(silence < time / 2)
}

fn be_without(
    (net, newcomer): (&PairLab, &Host),
    cluster: &mut Cluster<'_>,
    loss: &str,
    away: Duration,
) -> Result<()> {
    let [one, two] = &net.gateways;
    let gateways = [start(cluster, one, "gw1", loss)?, start(cluster, two, "gw2", loss)?];
    let to = SocketAddr::new(VIPS[0].parse::<IpAddr>()?, ECHO);
    let outcome = (|| {
        let before = cluster.await_output(&INGRESS, |said| said.contains(VIPS[0]))?;
        let leader = await_leader(&gateways, &net.gateways)?;
        let holder = cluster.kubectl(&HOLDER)?.ok()?;
        let speakers = Speakers::default();
        let sniffer = listen(newcomer, &speakers)?;
        ensure!(is_answered(newcomer, to, LOOK)?, "{loss}: no answer at first");
        // As a router keeps it that hears packets from there.
        let mac = net.gateways[leader].mac("ens5")?;
        let known =
            ["neigh", "replace", VIPS[0], "lladdr", &mac, "nud", "permanent", "dev", "ens5"];
        net.client.ip(&known)?;
        let steady = Steady::start(&net.client, to, RATE)?;

        cluster.stop_api_server();
        // What was answered until the lease ended says nothing.
        std::thread::sleep(SILENT);
        let answered = is_answered(newcomer, to, away.saturating_sub(SILENT))?;
        ensure!(answered == (loss == "hold"), "{loss}: answered: {answered}");
        cluster.start_api_server()?;
        let back = Instant::now();
        await_leader(&gateways, &net.gateways)?;
        println!("{loss}: led again {:?} after the API server was back", back.elapsed());
        ensure!(is_answered(newcomer, to, LEASE + LOOK)?, "{loss}: no answer when it is back");

        let echoes = steady.finish()?;
        println!(
            "{loss}: {} of {} datagrams came back, longest silence {:?}",
            echoes.came, echoes.sent, echoes.longest
        );
        ensure!(echoes.longest < HICCUP, "{loss}: forwarding stood still: {echoes:?}");
        sniffer.stop()?;
        let heard = speakers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ensure!(heard.len() == 1, "{loss}: more than one answered: {heard:?}");
        let after = cluster.kubectl(&HOLDER)?.ok()?;
        ensure!(holder == after, "{loss}: the lease went from {holder} to {after}");
        let numbered = cluster.kubectl(&INGRESS)?.ok()?;
        ensure!(before == numbered, "{loss}: {before} became {numbered}");
        Ok(())
    })();
    let outcome = gateways[0].explain(one, gateways[1].explain(two, outcome));
    outcome.with_context(|| format!("on_api_loss = \"{loss}\""))
}

#[test]
fn an_api_server_that_is_away_moves_nothing() -> Result<()> {
    if !has_control_plane("an_api_server_that_is_away_moves_nothing") {
        return Ok(());
    }
    let full = std::env::var_os("PORTREEVE_FULL").is_some_and(|value| value == "1");
    let away = AWAY[usize::from(!full)];
    let lab = Lab::new("k8s_outage")?;
    let net = PairLab::build(&lab)?;
    let control = net.add_control(&lab)?;
    let newcomer = net.add_client(&lab, "newcomer", "10.10.200.7/24")?;
    let mut cluster = Cluster::start(&control, pair::API)?;
    cluster.allow_gateways()?;
    cluster.apply_cilium_crds()?;
    cluster.apply(OBJECTS)?;
    be_without((&net, &newcomer), &mut cluster, "hold", away)?;
    be_without((&net, &newcomer), &mut cluster, "release", away)
}
