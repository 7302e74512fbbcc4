//! The same as `control` compiles, from objects of a cluster: what is read, translated, put beside the
//! file, compiled and published when one of them changes. No API server: the objects are here.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use dataplane::tables::Tables;
use portreeve::compile::{Compiler, OnHost};
use portreeve::desired::Desired;
use portreeve::desired::kubernetes::{KubernetesSettings, Reach};
use portreeve::kubernetes::kinds::Watched;
use portreeve::kubernetes::merge::Merger;
use portreeve::kubernetes::store::News;
use portreeve::kubernetes::view::View;
use portreeve::kubernetes::watch::{Standing, Told};
use portreeve::source::toml::load;
use portreeve::topology::Topology;
use serde_json::{Value, json};

use super::control::{CHANGES, ENDPOINTS, beside_a_worker, compiled, hold_to_bars, host, row};
use crate::clock::now;
use crate::report::model::{Row, Unit};

/// First builds; each has objects of its own.
const BUILDS: u32 = 3;

/// Everything between objects and tables.
struct Source {
    view: View,
    merger: Merger,
    compiler: Compiler,
    file: Desired,
    desired: Desired,
    host: Topology,
}

/// The first build, and one endpoint changed until every worker has it.
///
/// # Errors
/// When an object of the benchmark is refused.
pub(super) fn rows(services: u32, progress: &dyn Fn(&str)) -> Result<Vec<Row>> {
    progress(&format!("{services} services of a cluster"));
    let mut first = Vec::new();
    for _ in 0..BUILDS {
        first.push(Source::build(services)?.0);
    }
    let (took, mut source, tables) = Source::build(services)?;
    first.push(took);
    let changes = beside_a_worker(tables, |publish| {
        let changes = (0..CHANGES).map(|n| {
            // One whose objects are made beforehand, as the watch makes them.
            let news = changed(slice(n, Some([10, 64, n as u8, 200].into())))?;
            let begun = now();
            publish(source.take(Watched::EndpointSlices, news)?);
            Ok(begun.elapsed().as_secs_f64() * 1_000.0)
        });
        changes.collect::<Result<Vec<f64>>>()
    })?;
    let name = format!("{} k Services of {ENDPOINTS} endpoints", services / 1_000);
    let id = |what: &str| format!("cluster/{services}/{what}");
    let label = format!("{name}, from objects to tables, first build");
    let mut built = row(id("first"), label, Unit::Ms, &first);
    let label = format!("{name}, one EndpointSlice changed, until every worker has it");
    let mut moved = row(id("endpoint"), label, Unit::Ms, &changes);
    hold_to_bars(&mut built, &first, &mut moved, &changes);
    Ok(vec![built, moved])
}

impl Source {
    /// Milliseconds that it takes, and what it comes to.
    fn build(services: u32) -> Result<(f64, Self, Tables)> {
        let lists = [
            (Watched::Services, all((0..services).map(service))?),
            (Watched::EndpointSlices, all((0..services).map(|n| slice(n, None)))?),
            (Watched::Nodes, all([])?),
        ];
        let text = "[[port]]\nname = \"lan\"\n\n[[port]]\nname = \"pods\"\n";
        let file = load("bench.toml", text).map(|loaded| loaded.desired);
        let file = file.map_err(|problems| anyhow!("{} problems", problems.len()))?;
        let settings = KubernetesSettings { reach: Reach::Pods, ..KubernetesSettings::default() };
        let mut source = Self {
            view: View::new(settings, "gateway".into()),
            merger: Merger::default(),
            compiler: Compiler::new(),
            desired: file.clone(),
            file,
            host: host(),
        };
        let begun = now();
        for (which, list) in lists {
            source.view.take(which, Told::News(list));
            source.view.take(which, Told::Standing(Standing::Watched));
        }
        let tables = source.take(Watched::CiliumConfig, all([])?)?;
        let took = begun.elapsed().as_secs_f64() * 1_000.0;
        anyhow::ensure!(source.desired.services.len() == services as usize, "some are left out");
        Ok((took, source, tables))
    }

    /// What control and the thread of the cluster do with news.
    fn take(&mut self, which: Watched, news: News) -> Result<Tables> {
        self.view.take(which, Told::News(news));
        self.view.take(which, Told::Standing(Standing::Watched));
        let snapshot = self.view.snapshot().context("nothing new")?;
        let host = OnHost::new(&self.file, &self.host);
        let mut wanted = self.merger.merge(&self.file, &snapshot, &host).desired;
        wanted.keep_services(&self.desired);
        self.desired = wanted;
        let done = self.compiler.recompile(&self.desired, &self.host, Duration::ZERO);
        Ok(compiled(done)?.tables)
    }
}

fn all(objects: impl IntoIterator<Item = Value>) -> Result<News> {
    let read = objects.into_iter().map(serde_json::from_value).collect::<Result<Vec<_>, _>>();
    Ok(News::All(read?, None))
}

fn changed(object: Value) -> Result<News> {
    Ok(News::Changed(Box::new(serde_json::from_value(object)?)))
}

fn service(n: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("s{n}"), "namespace": "default", "uid": format!("u{n}"),
            "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}],
            "externalIPs": [format!("10.32.{}.{}", n / 256, n % 256)]},
    })
}

/// The endpoints of a service; the first of them is `other` where there is one.
fn slice(n: u32, other: Option<IpAddr>) -> Value {
    let address = |at: u32| format!("10.{}.{}.{}", 64 + n / 256, n % 256, at + 1);
    let endpoint = |at: u32| {
        let address = other.filter(|_| at == 0).map_or_else(|| address(at), |ip| ip.to_string());
        json!({"addresses": [address], "conditions": {"ready": true}})
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("s{n}"), "namespace": "default",
            "labels": {"kubernetes.io/service-name": format!("s{n}")}},
        "ports": [{"port": 80, "protocol": "TCP"}],
        "endpoints": (0..ENDPOINTS).map(endpoint).collect::<Vec<_>>(),
    })
}
