use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::cluster::{Changes, Cluster};
use portreeve_tests::clustered::ClusteredLab;
use serde_json::{Value, json};

use crate::recorded::Scenario;
use crate::shown::Shown;

/// As long as the recorder waited for quiet.
const QUIET: Duration = Duration::from_millis(600);
/// It is quiet after a second or so, unless something swings.
const RESTLESS: Duration = Duration::from_secs(30);
const WATCHED: [&str; 2] = ["/api/v1/services", "/apis/cilium.io/v2/ciliumloadbalancerippools"];
/// What the steps find.
const NAMESPACES: &str = "---
apiVersion: v1
kind: Namespace
metadata: {name: ns-a}
---
apiVersion: v1
kind: Namespace
metadata: {name: ns-b}
";

/// A cluster and a gateway, on which one scenario is played after the other.
pub struct Stage<'w> {
    world: &'w ClusteredLab,
    cluster: &'w Cluster<'w>,
    gateway: Appliance,
    running: bool,
    flags: Value,
    changes: Changes,
    shown: Shown,
}

impl<'w> Stage<'w> {
    /// With a gateway that gives addresses.
    pub fn new(world: &'w ClusteredLab, cluster: &'w Cluster<'w>) -> Result<Self> {
        cluster.apply(NAMESPACES)?;
        let gateway = world.start_gateway(cluster, "ipam = \"on\"\n")?;
        let changes = cluster.watch(&WATCHED)?;
        let (flags, shown) = (Value::Null, Shown::default());
        Ok(Self { world, cluster, gateway, running: true, flags, changes, shown })
    }

    /// What the gateway has logged of late.
    pub fn log(&self) -> String {
        self.gateway.log_tail()
    }

    /// What is seen after each step.
    pub fn play(&mut self, scenario: &Scenario) -> Result<Vec<Value>> {
        self.clear()?;
        if !self.running || self.flags != scenario.flags {
            self.set_flags(&scenario.flags)?;
            self.start()?;
        }
        let step = |step: &Vec<Value>| {
            step.iter().try_for_each(|action| self.act(action))?;
            self.settle()?;
            let table = self.cluster.kubectl(&["get", "ippools"])?.ok()?;
            Ok(self.shown.record(self.running, &table))
        };
        scenario.steps.iter().map(step).collect()
    }

    /// Takes everything away that the last scenario has left.
    fn clear(&mut self) -> Result<()> {
        self.cluster.kubectl(&["delete", "ippools", "--all"])?.ok()?;
        for namespace in ["default", "ns-a", "ns-b"] {
            let all = ["delete", "services", "-n", namespace, "--field-selector"];
            self.cluster.kubectl(&[&all[..], &["metadata.name!=kubernetes"]].concat())?.ok()?;
        }
        self.settle()
    }

    fn set_flags(&mut self, flags: &Value) -> Result<()> {
        let text = |name: &str| flags[name].to_string().trim_matches('"').to_owned();
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "cilium-config", "namespace": "kube-system"},
            "data": {
                "enable-ipv4": text("ipv4"), "enable-ipv6": text("ipv6"),
                "enable-l2-announcements": text("l2_announcements"),
                "enable-bgp-control-plane": text("bgp_control_plane"),
                "default-lb-service-ipam": text("default_lb_service_ipam"),
            },
        });
        self.flags = flags.clone();
        self.cluster.apply(&map.to_string()).map(drop)
    }

    /// Starts the gateway anew, and waits until it gives addresses.
    fn start(&mut self) -> Result<()> {
        self.gateway.restart(&self.world.net.gateway)?;
        self.running = true;
        let gives = |pools: &Value| pools["allocator"] == "given by this gateway";
        self.world.await_answer(&self.gateway, &["pools"], gives).map(drop)
    }

    fn stop(&mut self) -> Result<()> {
        self.running = false;
        self.gateway.signal(Signal::SIGTERM)?;
        self.gateway.wait_exit().map(drop)
    }

    fn act(&mut self, action: &Value) -> Result<()> {
        let (name, what) = action
            .as_object()
            .and_then(|fields| fields.iter().next())
            .context("an action has no name")?;
        match (name.as_str(), what.as_str()) {
            ("apply", _) => self.cluster.apply(&what.to_string()).map(drop),
            ("delete", _) => self.cluster.give("delete", &what.to_string()).map(drop),
            ("status", _) => self.write_status(what),
            ("operator", Some("stop")) => self.stop(),
            ("operator", Some("start" | "restart")) => self.start(),
            // Ages are counted in seconds; this one is part of the record.
            ("wait_ms", _) => {
                let wait = what.as_u64().context("no time to wait")?;
                std::thread::sleep(Duration::from_millis(wait));
                Ok(())
            }
            (other, _) => bail!("nobody knows how to {other}"),
        }
    }

    /// Somebody else writes a whole status.
    fn write_status(&self, what: &Value) -> Result<()> {
        let text = |field: &str| what["metadata"][field].as_str().unwrap_or_default();
        let get = ["get", "service", text("name"), "-n", text("namespace"), "-o", "json"];
        let mut object: Value = serde_json::from_str(&self.cluster.kubectl(&get)?.ok()?)?;
        object["status"] = what["status"].clone();
        let file = self.gateway.dir().join("status.json");
        std::fs::write(&file, object.to_string())?;
        let file = file.to_string_lossy();
        self.cluster.kubectl(&["replace", "--subresource=status", "-f", &file])?.ok().map(drop)
    }

    /// Waits until nothing happens any more.
    fn settle(&mut self) -> Result<()> {
        let shown = &mut self.shown;
        self.changes.until_quiet(QUIET, RESTLESS, |event| shown.take(&event))
    }
}
