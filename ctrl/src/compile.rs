//! `Desired` and topology to tables, or a complete list of problems. Pure: no IO, no clock. What
//! did not change is the same `Arc` as last time.
//!
//! Two halves: `plan` finds every problem and touches nothing; `commit` gives out ids and cannot
//! fail. So a refused configuration leaves no trace. When only the backends of some services
//! changed, or neighbours, a `change` is planned instead, and `amend` replaces what it touches in
//! the last outcome.

/// What `plan` hands to `commit`: everything by key, nothing by id.
mod plan;
/// `[[port]]` sections to links of the host.
mod ports;
/// VLANs on the links of ports.
mod vlans;
/// Kernel routes to routes of ours.
mod routes;
/// Addresses that Linux owns: we never answer for them.
mod linux;
/// What keeps packets from the backends of a service.
mod reach;
/// Source addresses towards backends.
mod snat;
/// Which backends a frontend has, and how large its table is.
pub(crate) mod members;
/// What a frontend does besides balancing.
mod policy;
/// Addresses that are answered for without a service.
mod routers;
/// Backends that a MAC must reach.
mod dsr;
/// Frontends and their members.
mod services;
/// Backends, whichever frontends they are in.
mod backends;
/// How often something is used.
mod uses;
/// Next hops: those that we need and those that the kernel knows.
mod hops;
/// What was removed while flows may refer to it.
mod grave;
/// Frontends with Maglev tables, shared wherever they can be.
mod frontends;
/// Owned addresses, where they are announced, and what steering shall take.
mod owned;
/// What was removed is kept; what had its time gives its id back.
mod bury;
/// From keys to ids to the parts of the tables.
mod build;
/// Backends in mode `nat`, and what their packets without a flow are.
mod nat;
/// The parts put together.
mod commit;
/// What differs when only backends of some services changed, or neighbours.
mod change;
/// The last outcome with what a change touches replaced.
mod amend;
/// Which service a frontend id belongs to, for people.
mod view;
/// Whether the host itself uses what we would take.
mod host;
/// Whether it refuses a service.
mod on_host;

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use dataplane::addr::{Addr, L4Port, Proto};
use dataplane::tables::registry::Registry;
use dataplane::tables::{Backend, Frontend, Hop, PortId, PortMask, SnatAddress, Tables};

use crate::desired::Desired;
use crate::problem::{self, Problem};
use crate::steering::Steering;
use crate::topology::Topology;

pub use grave::{LINGER, TOMBSTONE_AGE_MAX, TOMBSTONES_MAX};
pub use hops::NEIGHBOURS_MAX;
pub use host::{HostFacts, Listener, NODE_PORTS, host_conflicts};
pub use on_host::{HostBasis, OnHost};
pub use plan::MOST;
pub(crate) use routes::explain as kernel_route;
pub use view::{FrontendView, MemberView, ServiceView, shares};

/// What makes a backend one: flows to the same place must share their SNAT ports, whichever
/// service they came through.
pub type BackendKey = (Addr, L4Port, Proto);

/// An address that Linux gains or gives up has other ports: flows of its former id end instead of
/// getting ports of the wrong range. The ranges themselves change only with a restart.
type SnatKey = (Addr, bool);

/// Compiles again and again, and keeps ids and unchanged parts in between.
#[derive(Debug, Default)]
pub struct Compiler {
    ports: Vec<Box<str>>,
    frontends: Registry<dataplane::tables::frontend::FrontendKey, Frontend>,
    backends: Registry<BackendKey, Backend>,
    snat: Registry<SnatKey, SnatAddress>,
    hops: Registry<(PortId, Addr), Hop>,
    graves: grave::Graves,
    memo: commit::Memo,
}

/// What the state of the host may do to a compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// New wishes must fit the host.
    New,
    /// Wishes in force stay so, as far as the host lets them.
    Running,
}

/// The outcome of one compilation. Parts are shared with the outcome before: what did not change is
/// the same `Arc`, and whoever has taken it over need not look at it again.
#[derive(Debug, Clone, Default)]
pub struct Compiled {
    /// What the workers look up.
    pub tables: Tables,
    /// What the steering program shall send to us.
    pub steering: Arc<Steering>,
    /// Services with the ids of their frontends and backends, in the order of the source.
    pub services: Arc<[Arc<ServiceView>]>,
    /// Neighbours that the kernel shall keep fresh for us.
    pub wanted_neighbours: Arc<[WantedNeighbour]>,
    /// Solicited-node groups to join, by interface (RFC 4291 section 2.7.1).
    pub groups: Arc<[(u32, Ipv6Addr)]>,
    /// Owned addresses with the ports on which ARP and NDP are answered for them.
    pub announce: Arc<[(Addr, PortMask)]>,
    /// When to compile again even if nothing changed: something removed has had its time.
    pub next_deadline: Option<Duration>,
    /// What the operator should know.
    pub warnings: Vec<Problem>,
    /// Those of them that are about one service, with its place among all.
    pub troubled: Vec<(usize, Problem)>,
}

/// A neighbour entry to install as `extern_learn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WantedNeighbour {
    /// The interface whose link it is on.
    pub ifindex: u32,
    /// Its address.
    pub addr: IpAddr,
    /// Whether the kernel shall keep it fresh (`managed`), although our traffic bypasses it.
    pub managed: bool,
}

impl Compiler {
    /// A compiler that has given out nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Compiles. `now` counts from any fixed point and says how long removed things are kept.
    ///
    /// # Errors
    /// Every problem of `desired` on this host; nothing changes then.
    pub fn compile(
        &mut self,
        desired: &Desired,
        topology: &Topology,
        now: Duration,
    ) -> Result<Compiled, Vec<Problem>> {
        self.compile_as(Strictness::New, desired, topology, now)
    }

    /// Compiles what has been compiled before, because the host changed. A port that is down or
    /// gone and a backend that is out of reach are warnings then: everything else goes on.
    ///
    /// # Errors
    /// What cannot go on in part, such as a VIP that Linux owns now.
    pub fn recompile(
        &mut self,
        desired: &Desired,
        topology: &Topology,
        now: Duration,
    ) -> Result<Compiled, Vec<Problem>> {
        self.compile_as(Strictness::Running, desired, topology, now)
    }

    fn compile_as(
        &mut self,
        strictness: Strictness,
        desired: &Desired,
        topology: &Topology,
        now: Duration,
    ) -> Result<Compiled, Vec<Problem>> {
        if let Some(last) = self.memo.last.take() {
            match change::plan(self, &last, strictness, (desired, topology), now) {
                Some(change) => return Ok(self.amend(last, change, now)),
                None => self.memo.last = Some(last),
            }
        }
        let lookup = self.memo.routes(&self.ports, desired, topology);
        match plan::plan(self, strictness, desired, topology, &lookup) {
            Ok(plan) => Ok(self.commit(desired, topology, plan, now)),
            Err(mut problems) => {
                problem::sort(&mut problems);
                Err(problems)
            }
        }
    }

    /// Forgets everything that was removed, at the next compilation: no flow refers to it.
    pub fn forget(&mut self) {
        for key in self.graves.frontends.take_all() {
            self.frontends.release(&key);
            self.memo.members.remove(&key);
        }
        for key in self.graves.backends.take_all() {
            self.backends.release(&key);
        }
        self.graves.left.take_all();
        self.memo.last = None;
    }

    /// Names of the ports in the order of their ids; empty before the first compilation.
    #[must_use]
    pub fn port_names(&self) -> &[Box<str>] {
        &self.ports
    }
}

/// Keeps `old` when it says the same, so that readers see what did not change by pointer.
fn keep<T: ?Sized>(old: &Arc<T>, new: Arc<T>, same: impl FnOnce(&T, &T) -> bool) -> Arc<T> {
    if same(old, &new) { Arc::clone(old) } else { new }
}
