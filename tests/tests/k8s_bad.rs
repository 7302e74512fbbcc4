//! Objects that make no sense, each in a file of its own in `data/bad-objects/`, whose first lines say what
//! is said of it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use portreeve_tests::cluster::Cluster;
use portreeve_tests::clustered::{ClusteredLab, SERVICE, VIP};
use portreeve_tests::lab::Lab;
use portreeve_tests::seed::SERVERS;
use portreeve_tests::skip::has_control_plane;
use serde_json::{Value, json};

const REQUESTS: usize = 40;
/// What is all right: a policy for every service, and a pool, whose first address is [`VIP`].
const GOOD: &str = "---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: everything}
spec: {loadBalancerIPs: true, externalIPs: true}
---
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: good}
spec:
  blocks: [{start: 10.99.0.1, stop: 10.99.0.100}]
";

/// A file, and what is to become of it.
struct Bad {
    file: String,
    yaml: String,
    /// What the API server says, if it does not take it.
    refused: Option<String>,
    /// Kind, name and reason of what we say.
    says: Option<[String; 3]>,
}

fn all_bad() -> Result<Vec<Bad>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/bad-objects");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let yaml = std::fs::read_to_string(&path)?;
        let line = |key: &str| yaml.lines().find_map(|line| line.strip_prefix(key));
        let says = line("# says: ").map(|says| {
            let mut words = says.split(' ').map(str::to_owned);
            std::array::from_fn(|_| words.next().unwrap_or_default())
        });
        let refused = line("# refused: ").map(str::to_owned);
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure!(
            says.is_some() as u8 + refused.is_some() as u8 + line("# says nothing").is_some() as u8
                == 1,
            "{file} has to say what becomes of it"
        );
        all.push(Bad { file, yaml, refused, says });
    }
    all.sort_by(|a, b| a.file.cmp(&b.file));
    Ok(all)
}

/// Those of `wanted` that are not among what is said.
fn unsaid<'w>(wanted: &[&'w [String; 3]], said: &[[&str; 3]]) -> Vec<&'w [String; 3]> {
    let is_said = |wanted: &[String; 3]| said.iter().any(|said| wanted.iter().eq(said.iter()));
    wanted.iter().copied().filter(|wanted| !is_said(wanted)).collect()
}

/// What `portreeve status` complains of.
fn complaints(status: &Value) -> Vec<[&str; 3]> {
    let all = status["cluster"]["complaints"].as_array().into_iter().flatten();
    all.map(|said| ["kind", "name", "reason"].map(|key| said[key].as_str().unwrap_or_default()))
        .collect()
}

/// The Events of a cluster.
fn events(said: &Value) -> Vec<[&str; 3]> {
    let all = said["items"].as_array().into_iter().flatten();
    all.map(|event| {
        let object = &event["regarding"];
        [&object["kind"], &object["name"], &event["reason"]].map(|v| v.as_str().unwrap_or_default())
    })
    .collect()
}

/// The service that is all right, without what counts packets.
fn healthy(services: &Value) -> Option<[Value; 5]> {
    let all = services.as_array().cloned().unwrap_or_default();
    let mut found = all.into_iter().find(|found| found["name"] == "default/svc1")?;
    for backend in found["backends"].as_array_mut()? {
        *backend = json!([backend["address"], backend["state"], backend["weight"]]);
    }
    Some(["vip", "port", "mode", "announce", "backends"].map(|key| found[key].clone()))
}

/// Gives all of them to the API server, which takes those that it should.
fn apply_all(cluster: &Cluster<'_>, bad: &[Bad]) -> Result<()> {
    for Bad { file, yaml, refused, .. } in bad {
        match (cluster.apply(yaml), refused) {
            (Ok(_), None) => {}
            (Ok(_), Some(_)) => bail!("{file} was taken by the API server"),
            (Err(error), Some(text)) if format!("{error:#}").contains(text) => {}
            (Err(error), _) => return Err(error.context(file.clone())),
        }
    }
    Ok(())
}

/// Waits until there are Events of all that is `wanted`.
fn await_events(cluster: &Cluster<'_>, wanted: &[&[String; 3]]) -> Result<()> {
    let query = ["get", "events.events.k8s.io", "-A", "-o", "json"];
    let missing = |said: &str| -> Vec<[String; 3]> {
        let said: Value = serde_json::from_str(said).unwrap_or_default();
        unsaid(wanted, &events(&said)).into_iter().cloned().collect()
    };
    match cluster.await_output(&query, |said| missing(said).is_empty()) {
        Ok(_) => Ok(()),
        Err(error) => {
            let missing = missing(&cluster.kubectl(&query)?.ok()?);
            Err(error.context(format!("no Event says {missing:?}")))
        }
    }
}

#[test]
fn what_makes_no_sense_is_named_on_the_object_and_in_status_and_changes_nothing_else() -> Result<()>
{
    if !has_control_plane(
        "what_makes_no_sense_is_named_on_the_object_and_in_status_and_changes_nothing_else",
    ) {
        return Ok(());
    }
    let lab = Lab::new("k8s_bad")?;
    let world = ClusteredLab::build(&lab)?;
    let cluster = world.start_cluster()?;
    cluster.apply_cilium_crds()?;
    let gateway = world.start_gateway(&cluster, "")?;
    world.add_pods(&cluster)?;
    cluster.apply(&(GOOD.to_owned() + SERVICE))?;
    let bad = all_bad()?;
    let wanted: Vec<_> = bad.iter().filter_map(|bad| bad.says.as_ref()).collect();
    ensure!(wanted.len() >= 20, "{} are taken by the API server and judged by us", wanted.len());
    let outcome = (|| {
        world.await_active(&gateway, "default/svc1", &SERVERS)?;
        let before = healthy(&gateway.json(&world.net.gateway, &["services"])?);
        let before = before.context("the service that is all right is served")?;

        // Younger by a second at least: of two that want one address, the older has it.
        std::thread::sleep(Duration::from_millis(1_100));
        apply_all(&cluster, &bad)?;
        let all_said = |status: &Value| unsaid(&wanted, &complaints(status)).is_empty();
        let status = world.await_answer(&gateway, &["status"], all_said);
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                let status = gateway.json(&world.net.gateway, &["status"])?;
                let missing = unsaid(&wanted, &complaints(&status));
                return Err(error.context(format!("status does not say {missing:?}")));
            }
        };
        let of_good = ["svc1", "many-labels", "everything", "good"];
        // It is routed to the gateway, which is said, but nothing bad.
        let mut said = complaints(&status).into_iter().filter(|said| said[2] != "AddressOffLink");
        let false_alarm = said.find(|said| of_good.contains(&said[1]));
        ensure!(false_alarm.is_none(), "{false_alarm:?}");

        await_events(&cluster, &wanted)?;

        let after = healthy(&gateway.json(&world.net.gateway, &["services"])?);
        ensure!(after.as_ref() == Some(&before), "{before:?} became {after:?}");
        let url = format!("http://{VIP}/");
        let (names, failed) = world.who_answers(&url, REQUESTS)?;
        ensure!(names == ["webpod1", "webpod2"] && failed == 0, "{names:?}, {failed} failed");
        Ok(())
    })();
    gateway.explain(&world.net.gateway, outcome)
}
