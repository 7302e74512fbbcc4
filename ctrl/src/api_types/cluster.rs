use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How it stands with the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Whether the API server answers; the last good tables stay in force while it does not.
    pub answers: bool,
    /// Why it cannot be asked at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// Kinds of objects.
    pub kinds: Vec<ClusterKind>,
    /// Services of the cluster that are served, parts counted one by one.
    pub services: usize,
    /// Times that something else that the cluster wants was put into force.
    pub changes: u64,
    /// Leases by which addresses are announced, by us or by others.
    #[serde(default)]
    pub leases: Vec<ClusterLease>,
    /// What is wrong with objects, as far as it is shown.
    pub complaints: Vec<ClusterComplaint>,
    /// How many complaints there are.
    pub complaints_total: usize,
    /// The same by kind of the object and reason.
    #[serde(default)]
    pub complaints_by: BTreeMap<String, BTreeMap<String, u64>>,
    /// Milliseconds since the API server was heard of last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_since_answer: Option<u64>,
    /// Times that we came to lead.
    #[serde(default)]
    pub leases_taken: u64,
    /// Times that we ceased to lead, for whatever reason.
    #[serde(default)]
    pub leases_lost: u64,
    /// From hearing of a change until every worker had it.
    #[serde(default)]
    pub published: Latency,
}

/// How it stands with one kind of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterKind {
    /// Its name in roles: `endpointslices`.
    pub name: String,
    /// `asked`, `watched`, `absent` (the cluster has no such kind), `forbidden` or `failed`.
    pub state: String,
    /// What keeps us from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Objects that are known.
    #[serde(default)]
    pub objects: u64,
    /// Whole lists that were read; each after the first one is for a watch that could not go on.
    #[serde(default)]
    pub lists: u64,
    /// Lists and watches that came to nothing, or were broken off.
    #[serde(default)]
    pub failures: u64,
}

/// How long something took, again and again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// How often, by bucket: up to each of [`Latency::BOUNDS_MS`], and longer.
    pub buckets: [u64; 11],
    /// All of them together, in microseconds.
    pub sum_us: u64,
}

impl Latency {
    /// Upper bounds of buckets, in milliseconds.
    pub const BOUNDS_MS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

    /// It took so long once more.
    pub fn add(&mut self, took: Duration) {
        let within = |bound: &u64| took <= Duration::from_millis(*bound);
        let bucket = Self::BOUNDS_MS.iter().position(within).unwrap_or(Self::BOUNDS_MS.len());
        self.buckets[bucket] += 1;
        self.sum_us = self.sum_us.saturating_add(u64::try_from(took.as_micros()).unwrap_or(0));
    }
}

/// A lease whose holder announces addresses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLease {
    /// Its name.
    pub lease: String,
    /// Who holds it, as far as is known; it may have run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Whether we lead.
    pub leads: bool,
    /// For how long we lead if it is not renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milliseconds_left: Option<u64>,
    /// Addresses that its holder announces.
    pub addresses: Vec<IpAddr>,
    /// Why the API server does not let us write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Why we do not want it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unwilling: Option<String>,
}

/// Who announces a service of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announcement {
    /// Whether that is us.
    pub ours: bool,
    /// Name of the lease whose holder it is; nobody announces what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Who holds it, as far as is known; it may have run out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Why it is not us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

/// What is wrong with an object, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterComplaint {
    /// Kind of the object.
    pub kind: String,
    /// Its namespace; empty for objects of the whole cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// As one word for programs.
    pub reason: String,
    /// For people.
    pub message: String,
}

/// `GET /v1/pools`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pools {
    /// Who gives addresses, in words.
    pub allocator: String,
    /// By name.
    pub pools: Vec<Pool>,
}

/// A pool of addresses. Numbers are texts, since IPv6 has more addresses than JSON has numbers; they are empty
/// before anything was said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// Its name.
    pub name: String,
    /// Whether its owner keeps it from giving out addresses.
    pub disabled: bool,
    /// Whether it gives out none because it overlaps another.
    pub conflicting: bool,
    /// Which one, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<String>,
    /// How many addresses it has.
    pub total: String,
    /// How many of them are free.
    pub available: String,
    /// How many of them are not, those included that it keeps back.
    pub used: String,
    /// Who has which, by address.
    pub holders: Vec<PoolHolder>,
}

/// A service with an address of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolHolder {
    /// The address.
    pub address: IpAddr,
    /// Namespace of the service.
    pub namespace: String,
    /// Its name.
    pub service: String,
}
