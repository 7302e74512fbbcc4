//! The lab of the study log with a cluster beside it: the servers are pods, and the gateway follows the
//! cluster's objects. The API server is on a host of its own, on a link that is no port of the gateway.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::appliance::Appliance;
use crate::cluster::{Cluster, Pod, User, node};
use crate::host::Host;
use crate::lab::{Lab, LinkOptions};
use crate::run_dir::RunDir;
use crate::seed::{self, SeedLab};
use crate::{config, curl};

/// Where the API server is.
pub const API: &str = "192.168.77.2";
/// The gateway's end of that link.
const GATEWAY: &str = "192.168.77.1";
/// An address outside of every link: the client routes it to the gateway.
pub const VIP: &str = "10.99.0.1";
/// A gateway takes over what the API server has told it within a fraction of this.
const SETTLE: Duration = Duration::from_secs(30);
/// The pods, on a node each.
pub const PODS: [Pod<'static>; 2] = [
    Pod { namespace: "default", name: "webpod1", address: seed::SERVERS[0] },
    Pod { namespace: "default", name: "webpod2", address: seed::SERVERS[1] },
];
/// The durations of leases that the lab document gives to Cilium, as the file may say them.
pub const TIMES: &str =
    "lease_duration = \"3s\"\nrenew_deadline = \"1s\"\nretry_period = \"200ms\"\n";
/// A service of both pods.
pub const SERVICE: &str = "---
apiVersion: v1
kind: Service
metadata:
  name: svc1
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{name: http, port: 80}]
";

/// Hosts with servers, and the host of the control plane.
#[derive(Debug)]
pub struct ClusteredLab {
    /// Client, gateway and servers.
    pub net: SeedLab,
    /// Where the control plane runs.
    pub control: Host,
}

impl ClusteredLab {
    /// Lays it out.
    ///
    /// # Errors
    /// As [`SeedLab::build`].
    pub fn build(lab: &Lab) -> Result<Self> {
        let net = SeedLab::build(lab, LinkOptions::default())?;
        let control = lab.host("control")?;
        lab.link(&net.gateway, "mgmt", &control, "ens5", LinkOptions::default())?;
        net.gateway.address("mgmt", &format!("{GATEWAY}/24"))?;
        control.address("ens5", &format!("{API}/24"))?;
        Ok(Self { net, control })
    }

    /// Starts a control plane whose gateways may do what is shipped.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_cluster(&self) -> Result<Cluster<'_>> {
        self.start_cluster_in(RunDir::new()?)
    }

    /// As [`Self::start_cluster`], with its files in `dir`.
    ///
    /// # Errors
    /// As [`Self::start_cluster`].
    pub fn start_cluster_in(&self, dir: RunDir) -> Result<Cluster<'_>> {
        let cluster = Cluster::start_in(dir, &self.control, API)?;
        cluster.allow_gateways()?;
        Ok(cluster)
    }

    /// Starts the gateway with the ports of this lab, and the cluster; `more` is further TOML.
    ///
    /// # Errors
    /// As [`Appliance::start`].
    pub fn start_gateway(&self, cluster: &Cluster<'_>, more: &str) -> Result<Appliance> {
        self.start_gateway_in(RunDir::new()?, cluster, more)
    }

    /// As [`Self::start_gateway`], with its files in `dir`.
    ///
    /// # Errors
    /// As [`Self::start_gateway`].
    pub fn start_gateway_in(
        &self,
        dir: RunDir,
        cluster: &Cluster<'_>,
        more: &str,
    ) -> Result<Appliance> {
        let kubeconfig = cluster.kubeconfig(User::Gateway);
        let text = format!(
            "{}[kubernetes]\nkubeconfig = \"{}\"\nnode = \"gateway\"\n{more}",
            config::ports(&seed::PORTS),
            kubeconfig.display()
        );
        Appliance::start_in(dir, &self.net.gateway, &text)
    }

    /// Puts the pods and their nodes into the cluster, ready.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub fn add_pods(&self, cluster: &Cluster<'_>) -> Result<()> {
        self.add_pods_at(cluster, &PODS)
    }

    /// The same for pods that have other addresses.
    ///
    /// # Errors
    /// As [`Self::add_pods`].
    pub fn add_pods_at(&self, cluster: &Cluster<'_>, pods: &[Pod<'_>]) -> Result<()> {
        let mut objects = String::new();
        for (at, pod) in pods.iter().enumerate() {
            objects += &node(&format!("worker{at}"), &[]);
            objects += &format!(
                "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: {}\n  labels: {{app: web}}\n\
                 spec:\n  nodeName: worker{at}\n  containers: [{{name: web, image: nginx}}]\n",
                pod.name
            );
        }
        cluster.apply(&objects)?;
        pods.iter().try_for_each(|pod| cluster.report(pod, true))
    }

    /// Puts [`SERVICE`] into the cluster, with [`VIP`].
    ///
    /// # Errors
    /// When the API server does not take it.
    pub fn add_service(&self, cluster: &Cluster<'_>) -> Result<()> {
        cluster.apply(SERVICE)?;
        cluster.give_addresses("svc1", &[VIP])
    }

    /// Reports the nodes as ready at these addresses, as their kubelets would.
    ///
    /// # Errors
    /// When there are no such nodes.
    pub fn report_nodes(&self, cluster: &Cluster<'_>, addresses: &[&str]) -> Result<()> {
        for (at, address) in addresses.iter().enumerate() {
            let patch = format!(
                r#"{{"status":{{"addresses":[{{"type":"InternalIP","address":"{address}"}}],"conditions":[{{"type":"Ready","status":"True"}}]}}}}"#
            );
            let node = format!("worker{at}");
            let args = ["patch", "node", &node, "--subresource=status", "-p", &patch];
            cluster.kubectl(&args)?.ok()?;
        }
        Ok(())
    }

    /// Asks `portreeve ARGS --json` until `enough` says so of the answer.
    ///
    /// # Errors
    /// When it does not come to that in time; the message says what it came to.
    pub fn await_answer(
        &self,
        gateway: &Appliance,
        args: &[&str],
        enough: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let said = gateway.json(&self.net.gateway, args)?;
            if enough(&said) {
                return Ok(said);
            }
            if begun.elapsed() > SETTLE {
                bail!("portreeve {}: {said:#}\n{}", args.join(" "), gateway.log_tail());
            }
            // Nothing tells the outside when tables are adopted.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until exactly these backends of a service get new flows.
    ///
    /// # Errors
    /// As [`Self::await_answer`].
    pub fn await_active(&self, gateway: &Appliance, service: &str, wanted: &[&str]) -> Result<()> {
        let active = |services: &Value| {
            let all = services.as_array().into_iter().flatten();
            let found = all.into_iter().find(|found| found["name"] == service)?;
            let backends = found["backends"].as_array()?.iter();
            let active = backends.filter(|backend| backend["state"] == "active");
            Some(active.filter_map(|b| b["address"].as_str().map(str::to_owned)).collect())
        };
        let is_so = |services: &Value| {
            let mut found: Vec<String> = active(services).unwrap_or_default();
            found.sort_unstable();
            !found.is_empty() && found == wanted
        };
        self.await_answer(gateway, &["services"], is_so).map(drop)
    }

    /// Asks `url` so many times; who answered, each once, and how many got no answer.
    ///
    /// # Errors
    /// As [`curl::get`].
    pub fn who_answers(&self, url: &str, times: usize) -> Result<(Vec<String>, usize)> {
        let answers = curl::get(&self.net.client, &vec![url.to_owned(); times])?;
        let bad = answers.iter().filter(|answer| !answer.is_good()).count();
        let mut names: Vec<_> = answers
            .into_iter()
            .map(|answer| answer.hostname)
            .filter(|name| !name.is_empty())
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok((names, bad))
    }
}
