//! Whoever leads goes on to lead while its workers have more to do than they can.

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use portreeve_tests::clustered::{ClusteredLab, SERVICE, TIMES};
use portreeve_tests::flood::SynFlood;
use portreeve_tests::lab::Lab;
use portreeve_tests::raw_port::RawPort;
use portreeve_tests::seed::{HTTP, PORTS, SERVERS, VIPS};
use portreeve_tests::skip::has_control_plane;
use serde_json::Value;

const POLICY: &str = "---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: all}
spec: {loadBalancerIPs: true}
";
const NAME: &str = "cilium-l2announce-default-svc1";
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases";
/// A lease that is not renewed for so long is lost.
const DURATION: Duration = Duration::from_secs(3);
/// By default and with `PORTREEVE_FULL=1`.
const TIME: [Duration; 2] = [Duration::from_secs(12), Duration::from_secs(60)];
/// More than the generator can send.
const RATE: f64 = 2e6;

/// When the lease was seen renewed, and by whom.
#[derive(Default)]
struct Renewals {
    seen: Vec<Instant>,
    holders: Vec<String>,
    transitions: Vec<i64>,
}

impl Renewals {
    fn take(&mut self, event: &Value, heard: Instant) {
        let object = &event["object"];
        if object["metadata"]["name"] == NAME {
            self.seen.push(heard);
            let holder = object["spec"]["holderIdentity"].as_str().unwrap_or_default();
            self.holders.push(holder.to_owned());
            self.transitions.push(object["spec"]["leaseTransitions"].as_i64().unwrap_or_default());
        }
    }

    fn longest(&self) -> Duration {
        let gaps = self.seen.windows(2).map(|pair| pair[1].duration_since(pair[0]));
        gaps.max().unwrap_or_default()
    }
}

#[test]
fn leases_are_renewed_while_workers_are_flooded() -> Result<()> {
    if !has_control_plane("leases_are_renewed_while_workers_are_flooded") {
        return Ok(());
    }
    let lab = Lab::new("k8s_load")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    let gateway = world.start_gateway(&cluster, TIMES)?;
    world.add_pods(&cluster)?;
    cluster.apply(&(POLICY.to_owned() + SERVICE))?;
    cluster.give_addresses("svc1", &VIPS[..1])?;
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        let leads = |leases: &Value| leases[0]["leads"] == true;
        world.await_answer(&gateway, &["leases"], leads)?;
        let port = RawPort::open(&world.net.client, "ens5")?;
        let macs = [world.net.client.mac_bytes("ens5")?, world.net.gateway.mac_bytes(PORTS[0])?];
        let target = SocketAddr::new(VIPS[0].parse()?, HTTP);
        let syns = SynFlood::new(6, macs[0], macs[1], vec![target]);
        let changes = cluster.watch(&[LEASES])?;
        let full = std::env::var_os("PORTREEVE_FULL").is_some();
        // The time before the first renewal counts, too, and that after the last.
        let mut renewals = Renewals { seen: vec![Instant::now()], ..Renewals::default() };
        let over = AtomicBool::new(false);
        let (poured, watched) = std::thread::scope(|scope| {
            let pouring = scope.spawn(|| syns.pour(&port, RATE, &over));
            let watched = changes
                .during(TIME[usize::from(full)], |event, heard| renewals.take(&event, heard));
            over.store(true, Ordering::Release);
            (pouring.join().unwrap_or_else(|panic| resume_unwind(panic)), watched)
        });
        watched?;
        renewals.seen.push(Instant::now());
        let (poured, longest) = (poured?, renewals.longest());
        println!(
            "{:.0} SYNs/s for {:.1?}; renewed {} times, at most {longest:.2?} apart",
            poured.rate(),
            poured.took,
            renewals.holders.len()
        );
        ensure!(renewals.holders.len() >= 4, "it is renewed all along");
        ensure!(longest < DURATION, "it ran out: {longest:?}");
        ensure!(
            renewals.holders.iter().all(|holder| holder == "gateway"),
            "{:?}",
            renewals.holders
        );
        ensure!(renewals.transitions.windows(2).all(|pair| pair[0] == pair[1]), "it changed hands");
        world.await_answer(&gateway, &["leases"], leads).map(drop)
    })();
    gateway.explain(&world.net.gateway, outcome)
}
