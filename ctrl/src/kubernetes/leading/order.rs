use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::Standing;
use crate::kubernetes::api::lease::Lease;
use crate::kubernetes::election::{Election, Timing};

/// What the task is told.
#[derive(Debug)]
pub enum Order {
    /// One more election.
    Enter(Box<Entry>),
    /// Whether we are willing to lead in the one of this lease and id.
    Will(Arc<str>, u64, bool),
    /// It is not wanted any more.
    Withdraw(Arc<str>, u64),
    /// All leases that there are, by name, and the version of the list.
    All(BTreeMap<String, Lease>, Option<u64>),
    /// A lease came or changed.
    Changed(Lease),
    /// The lease of this name is gone since this version.
    Gone(String, Option<u64>),
    /// How long leases last.
    Retime(Timing),
    /// Give everything up.
    Resign,
}

/// An election to be run.
#[derive(Debug)]
pub struct Entry {
    /// Name of the lease.
    pub lease: Arc<str>,
    /// Tells it from an earlier one for the same lease.
    pub id: u64,
    /// Before anything was seen.
    pub election: Election,
    /// Who else is a candidate.
    pub field: Field,
    /// Where it is said how it stands.
    pub report: watch::Sender<Standing>,
}

/// Who may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// We alone.
    Alone,
    /// All gateways that are alive.
    Gateways,
}

/// Each entry has another.
pub fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
