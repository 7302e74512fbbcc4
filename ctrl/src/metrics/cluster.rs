use prometheus_client::encoding::{EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Labels, counters, gauges, numbers};
use crate::api_types::{Cluster, ClusterKind, ClusterLease, Latency, Pool, Pools};

/// The API server, its objects, and leases.
pub(super) fn cluster(registry: &mut Registry, cluster: &Cluster) {
    let connected = [(vec![], u64::from(cluster.answers))];
    gauges(registry, ("cluster_connected", "Whether the API server answers"), connected);
    let silent = cluster.milliseconds_since_answer.map(|ms| (vec![], seconds(ms)));
    let help = "Time since the API server was heard of, of whatever kind";
    numbers(registry, ("cluster_last_answer_seconds", help), silent);
    kinds(registry, &cluster.kinds);
    let complaints = cluster.complaints_by.iter().flat_map(|(kind, by)| {
        by.iter().map(move |(reason, count)| {
            (vec![("kind", kind.clone()), ("reason", reason.clone())], *count)
        })
    });
    gauges(registry, ("cluster_complaints", "What is wrong with objects"), complaints);
    let services = [(vec![], cluster.services as u64)];
    gauges(registry, ("cluster_services", "Services of the cluster that are served"), services);
    let changes = ("cluster_changes", "Times that something else was put into force");
    counters(registry, changes, [(vec![], cluster.changes)]);
    let help = "Time from hearing of a change until every worker has it";
    registry.register("cluster_publication_seconds", help, cluster.published.clone());
    leases(registry, cluster);
}

fn kinds(registry: &mut Registry, kinds: &[ClusterKind]) {
    let of = |value: fn(&ClusterKind) -> u64| {
        kinds.iter().map(move |kind| (vec![("kind", kind.name.clone())], value(kind)))
    };
    let help = "Whether changes of objects of a kind are told; one that the cluster does not have counts as such";
    let told = |kind: &ClusterKind| u64::from(matches!(&*kind.state, "watched" | "absent"));
    gauges(registry, ("cluster_watched", help), of(told));
    gauges(registry, ("cluster_objects", "Objects that are known"), of(|kind| kind.objects));
    let help = "Whole lists that were read; after the first, for a watch that could not go on";
    counters(registry, ("cluster_lists", help), of(|kind| kind.lists));
    let help = "Lists and watches that came to nothing, or were broken off";
    counters(registry, ("cluster_watch_errors", help), of(|kind| kind.failures));
}

fn leases(registry: &mut Registry, cluster: &Cluster) {
    let of = |value: fn(&ClusterLease) -> bool| {
        let leases = cluster.leases.iter();
        leases.map(move |lease| (named("lease", &lease.lease), u64::from(value(lease))))
    };
    gauges(registry, ("lease_leads", "Whether we lead by a lease"), of(|lease| lease.leads));
    let held = |lease: &ClusterLease| lease.holder.as_ref().is_some_and(|who| !who.is_empty());
    gauges(registry, ("lease_held", "Whether anybody is known to hold a lease"), of(held));
    let help = "Whether the API server does not let us write a lease";
    gauges(registry, ("lease_refused", help), of(|lease| lease.refused.is_some()));
    let left = cluster.leases.iter().filter_map(|lease| {
        Some((named("lease", &lease.lease), seconds(lease.milliseconds_left?)))
    });
    let help = "Time for which we lead if a lease is not renewed";
    numbers(registry, ("lease_left_seconds", help), left);
    let taken = [(vec![], cluster.leases_taken)];
    counters(registry, ("leases_taken", "Times that we came to lead by a lease"), taken);
    let lost = [(vec![], cluster.leases_lost)];
    counters(registry, ("leases_lost", "Times that we ceased to lead by a lease"), lost);
}

/// Pools of addresses. What nobody has counted yet is left out.
pub(super) fn pools(registry: &mut Registry, pools: &Pools) {
    let of = |state: &'static str, value: fn(&Pool) -> &str| {
        pools.pools.iter().filter_map(move |pool| {
            let labels = vec![("pool", pool.name.clone()), ("state", state.to_owned())];
            Some((labels, value(pool).parse().ok()?))
        })
    };
    let total = of("total", |pool| &pool.total);
    let addresses =
        total.chain(of("used", |pool| &pool.used)).chain(of("available", |pool| &pool.available));
    numbers(registry, ("pool_addresses", "Addresses of a pool, by state"), addresses);
    let pools = pools.pools.iter();
    let conflicting = pools.map(|pool| (named("pool", &pool.name), u64::from(pool.conflicting)));
    let help = "Whether a pool gives no addresses because it overlaps another";
    gauges(registry, ("pool_conflicting", help), conflicting);
}

fn named(label: &'static str, name: &str) -> Labels {
    vec![(label, name.to_owned())]
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1_000.0
}

impl EncodeMetric for Latency {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        let bounds = Self::BOUNDS_MS.iter().map(|ms| seconds(*ms)).chain([f64::INFINITY]);
        let buckets: Vec<_> = bounds.zip(self.buckets).collect();
        let (sum, count) = (self.sum_us as f64 / 1e6, self.buckets.iter().sum());
        encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Histogram
    }
}
