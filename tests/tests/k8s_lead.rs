//! Two gateways and one lease: at any time one of them answers for an address, whatever happens to them.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::Signal;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::cluster::{Cluster, User};
use portreeve_tests::clustered::SERVICE;
use portreeve_tests::config;
use portreeve_tests::host::Host;
use portreeve_tests::lab::Lab;
use portreeve_tests::pair::{self, PairLab};
use portreeve_tests::seed::VIPS;
use portreeve_tests::skip::has_control_plane;
use portreeve_tests::sniffer::{self, Sniffer};
use serde_json::{Value, json};

const POLICY: &str = "---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: all}
spec: {loadBalancerIPs: true, interfaces: [ens5]}
";
const LEASE: Duration = Duration::from_secs(3);
/// What a loaded machine may add to the time of a takeover.
const SLACK: Duration = Duration::from_secs(2);
/// How long the leader does not run.
const PAUSE: Duration = Duration::from_secs(10);
const SETTLE: Duration = Duration::from_secs(30);

fn start_gateway(cluster: &Cluster<'_>, host: &Host, node: &str, more: &str) -> Result<Appliance> {
    let kubeconfig = cluster.kubeconfig(User::Gateway);
    let text = format!(
        "[gateway]\nlinger = \"2s\"\n{}[kubernetes]\nkubeconfig = \"{}\"\nnode = \"{node}\"\n\
         lease_duration = \"3s\"\nrenew_deadline = \"1s\"\nretry_period = \"200ms\"\n{more}",
        config::ports(&pair::PORTS),
        kubeconfig.display()
    );
    Appliance::start(host, &text)
}

/// A MAC, and when it was heard first.
type Speaker = ([u8; 6], Instant);

/// Stations that said they have the VIP, in order; the same one again is left out.
#[derive(Debug, Clone, Default)]
struct Speakers(Arc<Mutex<Vec<Speaker>>>);

impl Speakers {
    fn listen(&self, client: &Host) -> Result<Sniffer> {
        let vip: IpAddr = VIPS[0].parse()?;
        let heard = Arc::clone(&self.0);
        Sniffer::start(client, "ens5", move |frame| {
            let arp = frame.get(12..14) == Some(&[8, 6]);
            let from = frame.get(6..12).and_then(|mac| <[u8; 6]>::try_from(mac).ok());
            let says = arp && sniffer::addresses(frame).is_some_and(|(from, _)| from == vip);
            if let Some(from) = from.filter(|_| says) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                if heard.last().is_none_or(|(last, _)| *last != from) {
                    heard.push((from, Instant::now()));
                }
            }
            says
        })
    }

    fn heard(&self) -> Vec<Speaker> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Asks who has the VIP, as one that has never heard of it.
fn ask(client: &Host, socket: &UdpSocket) -> Result<()> {
    client.ip(&["neigh", "flush", "dev", "ens5"])?;
    // Nobody has to answer more than ARP.
    drop(socket.send_to(b"x", (VIPS[0].parse::<Ipv4Addr>()?, 9)));
    std::thread::sleep(Duration::from_millis(50));
    Ok(())
}

fn leads(gateway: &Appliance, host: &Host) -> Result<bool> {
    let leases = gateway.json(host, &["leases"])?;
    Ok(leases[0]["leads"] == Value::Bool(true))
}

/// Asks until one of these leads; which.
fn await_leader(gateways: &[(&Appliance, &Host)], within: Duration) -> Result<usize> {
    let begun = Instant::now();
    while begun.elapsed() < within {
        for (at, (gateway, host)) in gateways.iter().enumerate() {
            if leads(gateway, host)? {
                return Ok(at);
            }
        }
        // Nothing tells the outside.
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("nobody leads after {within:?}\n{}", gateways[0].0.log_tail())
}

/// Asks a gateway that does not lead until it says who announces the service.
fn await_announcer(gateway: &Appliance, host: &Host, holder: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let services = gateway.json(host, &["services"])?;
        let said = &services[0]["announcement"];
        ensure!(said["ours"] != true && services[0]["announce"] == json!([]), "{services:#}");
        if said["holder"] == holder && said["why_not"].is_null() {
            return Ok(());
        }
        ensure!(begun.elapsed() < SETTLE, "it does not say who announces it: {services:#}");
        // Nothing tells the outside.
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_leader_that_does_not_run_is_followed_by_another_and_never_answers_late() -> Result<()> {
    if !has_control_plane(
        "a_leader_that_does_not_run_is_followed_by_another_and_never_answers_late",
    ) {
        return Ok(());
    }
    let lab = Lab::new("k8s_lead")?;
    let world = PairLab::build(&lab)?;
    let control = world.add_control(&lab)?;
    let cluster = Cluster::start(&control, pair::API)?;
    cluster.allow_gateways()?;
    cluster.apply_cilium_crds()?;
    let [one, two] = &world.gateways;
    let mut gateways =
        [start_gateway(&cluster, one, "gw1", "")?, start_gateway(&cluster, two, "gw2", "")?];
    cluster.apply(&(POLICY.to_owned() + SERVICE))?;
    cluster.give_addresses("svc1", &VIPS[..1])?;
    let socket = world.client.enter(|| UdpSocket::bind("0.0.0.0:0"))??;

    let leader = await_leader(&[(&gateways[0], one), (&gateways[1], two)], SETTLE)?;
    let other = 1 - leader;
    let holder = ["gw1", "gw2"][leader];
    await_announcer(&gateways[other], &world.gateways[other], holder)?;
    let speakers = Speakers::default();
    let sniffer = speakers.listen(&world.client)?;
    ask(&world.client, &socket)?;
    ask(&world.client, &socket)?;
    ensure!(speakers.heard().len() == 1, "one answers: {:?}", speakers.heard());
    gateways[leader].signal(Signal::SIGSTOP)?;
    let stopped = Instant::now();
    while stopped.elapsed() < PAUSE {
        ask(&world.client, &socket)?;
    }
    gateways[leader].signal(Signal::SIGCONT)?;
    while stopped.elapsed() < PAUSE + LEASE {
        ask(&world.client, &socket)?;
    }
    let outcome = (|| {
        sniffer.stop()?;
        let heard = speakers.heard();
        ensure!(heard.len() == 2, "first the one, then the other, and never back: {heard:?}");
        let gap = heard[1].1.duration_since(stopped);
        println!("the other answered {gap:?} after the leader was stopped");
        ensure!(gap < LEASE + SLACK, "{gap:?}");

        gateways[other].signal(Signal::SIGTERM)?;
        let asked = Instant::now();
        await_leader(&[(&gateways[leader], &world.gateways[leader])], SETTLE)?;
        println!("the successor led {:?} after the leader was asked to end", asked.elapsed());
        ensure!(asked.elapsed() < LEASE, "it was not handed over: {:?}", asked.elapsed());
        let status = gateways[other].wait_exit().context("it ends after the linger time")?;
        ensure!(status.success() && asked.elapsed() >= Duration::from_secs(2), "{status}");
        Ok(())
    })();
    gateways[leader].explain(&world.gateways[leader], outcome)
}
