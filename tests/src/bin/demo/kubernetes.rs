use anyhow::{Context as _, Result, ensure};
use portreeve_tests::appliance::Appliance;
use portreeve_tests::cleanup::keep_everything;
use portreeve_tests::cluster::{Cluster, User, node};
use portreeve_tests::clustered::{ClusteredLab, PODS, TIMES};
use portreeve_tests::curl;
use portreeve_tests::lab_document;
use portreeve_tests::run_dir::RunDir;
use portreeve_tests::seed::{SERVERS, VIPS};
use serde_json::Value;

use crate::place::Place;
use crate::show::{self, heading};

const KINDS: &str = "svc,ippools,ciliuml2announcementpolicy";

/// Lays out the lab with a cluster beside it, and gives the cluster what the lab document gives to it.
pub fn run(place: Place, keep: bool) -> Result<()> {
    let world = ClusteredLab::build(&place.lab).context("lay out the lab")?;
    show::picture();
    println!("\nstarting etcd, kube-apiserver and the controllers on a host of their own");
    let files = RunDir::at(place.dir.path().join("cluster"))?;
    let cluster = world.start_cluster_in(files)?;
    cluster.apply_cilium_crds()?;
    let gateway = world.start_gateway_in(place.dir, &cluster, TIMES)?;
    show::running(&gateway)?;
    let shown = all(&world, &cluster, &gateway).with_context(|| {
        format!("the demo failed; portreeve's log ends with\n{}", gateway.log_tail())
    });
    if keep {
        // As without a cluster: what went wrong can be looked into, too.
        keep_everything();
        show::how_to_enter(&world.net, &gateway);
        println!("  kubeconfig     {}", cluster.kubeconfig(User::Admin).display());
        let control = world.control.netns().name();
        println!(
            "  kubectl        nsenter --net=/run/netns/{control} {} get {KINDS}",
            cluster.kubectl_line()
        );
    }
    shown
}

fn all(world: &ClusteredLab, cluster: &Cluster<'_>, gateway: &Appliance) -> Result<()> {
    // There is no kubelet: nodes and the readiness of pods are written as one would.
    cluster.apply(&(node("k8s-w1", &[]) + &node("k8s-w2", &[])))?;
    let [policy, pool, services, ..] = &lab_document::pieces()[..] else {
        unreachable!("the lab document has more than three pieces")
    };
    for piece in [policy, pool, services] {
        heading(&format!("kubectl {} -f -", piece.verb));
        print!("{}", cluster.give(&piece.verb, &piece.yaml)?);
    }
    PODS.iter().try_for_each(|pod| cluster.report(pod, true))?;
    let given = |said: &str| VIPS.iter().all(|vip| said.contains(vip));
    let kinds = cluster.await_output(&["get", KINDS], given)?;
    heading(&format!("kubectl get {KINDS}"));
    print!("{kinds}");

    world.await_active(gateway, "default/svc1", &SERVERS)?;
    heading("portreeve status: the policy wants a label that the services do not have");
    say(world, gateway, "status")?;
    let url = format!("http://{}/", VIPS[0]);
    let answers = curl::get(&world.net.client, std::slice::from_ref(&url))?;
    ensure!(!answers[0].is_good(), "{url} is announced, though no policy selects it");
    println!("\ncurl {url} from the client: no answer, since nobody announces the address");

    heading("kubectl label svc svc1 svc2 svc3 color=blue");
    print!("{}", cluster.kubectl(&["label", "svc", "svc1", "svc2", "svc3", "color=blue"])?.ok()?);
    let led = |leases: &Value| {
        let all = leases.as_array().into_iter().flatten();
        all.filter(|lease| lease["leads"] == true).count() >= VIPS.len()
    };
    world.await_answer(gateway, &["leases"], led)?;
    world.net.client.ip(&["neigh", "flush", "dev", "ens5"])?;
    show::requests(&world.net)?;
    for command in ["leases", "pools", "services"] {
        heading(&format!("portreeve {command}"));
        say(world, gateway, command)?;
    }
    Ok(())
}

fn say(world: &ClusteredLab, gateway: &Appliance, command: &str) -> Result<()> {
    print!("{}", gateway.cli(&world.net.gateway, &[command])?.ok()?);
    Ok(())
}
