//! What the cluster wants of us, as one immutable value.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dataplane::tables::flow_hash::HashSeeds;
use dataplane::time::BootTime;

use super::announcing::Announced;
use super::api::metadata::Key;
use super::kinds::Watched;
use super::pools::PoolState;
use super::routes::PodRoute;
use super::watch::Standing;
use crate::desired::Service;

/// What the cluster wants at one time.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Its services, the oldest first. One that did not change is the same `Arc` as before.
    pub services: Arc<[Arc<ClusterService>]>,
    /// What Cilium was told of Maglev.
    pub maglev: MaglevHints,
    /// Where pods are, if routes to them are to be had from nodes.
    pub routes: Arc<[PodRoute]>,
    /// Pools of addresses, and who has which.
    pub pools: Arc<[PoolState]>,
    /// Who gives addresses.
    pub allocator: Allocator,
    /// What is announced, as far as leases let it be.
    pub announced: Arc<Announced>,
    /// What is wrong with objects.
    pub complaints: Arc<[Complaint]>,
    /// How it stands with each kind of object.
    pub standings: BTreeMap<Watched, Standing>,
    /// When the first was heard of what is new here; `None` where nothing was heard.
    pub heard: Option<BootTime>,
    /// Why the API server cannot be asked at all.
    pub unusable: Option<String>,
}

/// A service, or a part of one whose ports have different backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterService {
    /// The object that it is made of.
    pub object: Key,
    /// Tells the object from an earlier one of the same name.
    pub uid: String,
    /// What is wanted.
    pub service: Arc<Service>,
}

/// What Cilium was told of Maglev; the same must hold on every gateway and in the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MaglevHints {
    /// `bpf-lb-maglev-table-size`
    pub table_size: Option<u32>,
    /// `bpf-lb-maglev-hash-seed`
    pub seeds: Option<HashSeeds>,
}

/// Who gives addresses of pools to services.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Allocator {
    /// Not everything is known that decides on it.
    #[default]
    Unknown,
    /// This gateway.
    Us,
    /// Another gateway, which has the lease.
    AnotherGateway,
    /// An operator of Cilium.
    Operator,
    /// Whoever it is, it is not us: `ipam = "off"`.
    Off,
}

impl fmt::Display for Allocator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "not known yet who gives them",
            Self::Us => "given by this gateway",
            Self::AnotherGateway => "given by another gateway",
            Self::Operator => "given by an operator of Cilium",
            Self::Off => "not given by gateways (ipam = \"off\")",
        })
    }
}

/// What is wrong with an object, and what comes of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Complaint {
    /// Kind of the object.
    pub kind: &'static str,
    /// Where it is.
    pub object: Key,
    /// Tells it from an earlier one of the same name; empty where that is not known.
    pub uid: String,
    /// As one word for programs.
    pub reason: &'static str,
    /// For people, one sentence without a full stop.
    pub message: String,
}

impl Snapshot {
    /// Whether the API server answers, as far as is known; not before it did for the first time.
    #[must_use]
    pub fn answers(&self) -> bool {
        let failed = |standing: &Standing| matches!(standing, Standing::Failed(_));
        let heard = |standing: &Standing| *standing != Standing::Asked;
        self.standings.values().any(heard) && !self.standings.values().any(failed)
    }
}
