//! What the operator wants, as pure data: the same whether it came from a TOML file or from a
//! Kubernetes API. Pieces that a message can point at carry the place where they were written.

/// Health checks of a service.
pub mod health;
/// Addresses that are apart from the rule for a while.
pub mod apart;
/// A cluster whose objects are wishes, too.
pub mod kubernetes;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::{Deref, RangeInclusive};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dataplane::addr::{L4Port, Proto};
use dataplane::tables::flow_hash::HashSeeds;
use dataplane::tables::frontend::Mode;
use dataplane::tables::{Deadlines, Timeouts};
use ipnet::IpNet;

use crate::problem::Place;
use apart::Apart;
use health::HealthCheck;
use kubernetes::KubernetesSettings;

/// A value with the place where it was written. Two are equal when their values are: moving a
/// line in a file changes nothing.
#[derive(Debug, Clone)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it was written; `None` for defaults and for sources without places.
    pub place: Option<Place>,
}

impl<T> Located<T> {
    /// A value that nobody wrote.
    pub const fn nowhere(value: T) -> Self {
        Self { value, place: None }
    }

    /// The place, for a message.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }
}

impl<T> Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

/// Everything that the operator wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Desired {
    /// This gateway.
    pub gateway: Gateway,
    /// The cluster whose services are served, too.
    pub kubernetes: Option<KubernetesSettings>,
    /// The packet workers.
    pub worker: WorkerSettings,
    /// Maglev defaults.
    pub maglev: MaglevSettings,
    /// Source addresses of services that name none.
    pub snat: SnatSettings,
    /// When silent flows end.
    pub timeouts: Timeouts,
    /// Network interfaces to drive, in the order in which they get their numbers.
    pub ports: Vec<PortSettings>,
    /// Addresses that are answered for without a service.
    pub routers: Vec<RouterSettings>,
    /// Services. Shared, so that a source that kept one unchanged can say so by pointer.
    pub services: Vec<Arc<Service>>,
    /// Addresses that are apart from the rule now. No source says this: the overlay adds it.
    pub apart: Arc<Apart>,
    /// Until when addresses with a lease may be announced; all others are for good. Cells that are
    /// renewed while they are in force: that is no change.
    pub deadlines: Arc<Deadlines>,
}

impl Desired {
    /// The ports on which a service's VIPs are announced, by name.
    #[must_use]
    pub fn announced_on<'a>(&'a self, service: &'a Service) -> Vec<&'a str> {
        match &service.announce {
            Announce::All => self.ports.iter().map(|port| port.name.value.as_str()).collect(),
            Announce::None => Vec::new(),
            Announce::Ports(names) => names.iter().map(|name| name.value.as_str()).collect(),
        }
    }

    /// Takes services that `held` has too from there, so that one sees by pointer that they are the
    /// same.
    pub fn keep_services(&mut self, held: &Self) {
        let mut by_name: Option<HashMap<_, _>> = None;
        for (at, service) in self.services.iter_mut().enumerate() {
            let name = &service.name.value;
            // Nearly always it stands where it stood.
            let beside = held.services.get(at);
            let beside =
                beside.filter(|held| Arc::ptr_eq(held, service) || held.name.value == *name);
            let former = beside.or_else(|| {
                let all = held.services.iter().map(|service| (&service.name.value, service));
                by_name.get_or_insert_with(|| all.collect()).get(name).copied()
            });
            if let Some(same) = former.filter(|held| *held == service) {
                *service = Arc::clone(same);
            }
        }
    }
}

/// Settings of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Name of this gateway, in logs and metrics.
    pub name: String,
    /// Socket of the admin API.
    pub api: PathBuf,
    /// Where Prometheus finds the metrics; `None` for nowhere.
    pub metrics: Option<SocketAddr>,
    /// How logs are written.
    pub log: LogFormat,
    /// Directory on a bpffs where the steering program is pinned.
    pub pin_dir: PathBuf,
    /// Whether VIPs are announced from the start on.
    pub vips_at_start: VipsAtStart,
    /// How long a released address is still forwarded.
    pub linger: Duration,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            name: "gateway".into(),
            api: "/run/portreeve/api.sock".into(),
            metrics: None,
            log: LogFormat::default(),
            pin_dir: "/sys/fs/bpf/portreeve".into(),
            vips_at_start: VipsAtStart::default(),
            linger: Duration::from_secs(10),
        }
    }
}

/// Whether VIPs are announced from the start on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VipsAtStart {
    /// They are.
    #[default]
    Held,
    /// Not before somebody says so: another program decides which gateway has them.
    Released,
}

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Settings of the packet workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// How many there are; at least one.
    pub count: usize,
    /// The cores to pin them to, one each; empty for the last that the process may use.
    pub cores: Located<Vec<usize>>,
    /// Entries of the flow tables of all workers together.
    pub flows: u32,
    /// What a worker does when there is no work.
    pub poll: PollMode,
    /// Slots of each ring; a power of two.
    pub ring: u32,
    /// Frames of the packet memory.
    pub frames: u32,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            count: 1,
            cores: Located::nowhere(Vec::new()),
            flows: 1 << 20,
            poll: PollMode::default(),
            ring: 2_048,
            frames: 16_384,
        }
    }
}

/// What a worker does when there is no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PollMode {
    /// Spins for ever.
    Busy,
    /// Spins while there is work, then sleeps.
    #[default]
    Adaptive,
    /// Sleeps after every burst.
    Interrupt,
}

/// How many slots a Maglev table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TableSize {
    /// By the number of backends.
    #[default]
    Auto,
    /// One of Cilium's sizes.
    Fixed(u32),
}

/// Maglev defaults. Every gateway of a group needs the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaglevSettings {
    /// Table size of services that name none.
    pub table_size: Located<TableSize>,
    /// Seeds of permutation and flow hash.
    pub seeds: Located<HashSeeds>,
}

impl Default for MaglevSettings {
    fn default() -> Self {
        Self {
            table_size: Located::nowhere(TableSize::Auto),
            seeds: Located::nowhere(HashSeeds::default()),
        }
    }
}

/// Transport ports, host order, both ends included.
pub type PortSpan = RangeInclusive<L4Port>;

/// Source addresses of services that name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnatSettings {
    /// Addresses; empty for the out-port's own.
    pub addresses: Vec<Located<IpAddr>>,
    /// Ports used of an address that is ours alone.
    pub ports: Located<PortSpan>,
    /// Ports used of an address that Linux owns too.
    pub shared_ports: Located<PortSpan>,
}

impl Default for SnatSettings {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            ports: Located::nowhere(1_024..=65_535),
            shared_ports: Located::nowhere(61_000..=65_535),
        }
    }
}

/// A network interface to drive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortSettings {
    /// Its name in the kernel.
    pub name: Located<String>,
    /// How the steering program is attached.
    pub mode: XdpMode,
}

/// How the steering program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XdpMode {
    /// Native when the driver can, else skb.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the kernel's generic path.
    Skb,
}

/// A service: addresses that clients use, and where packets end up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: Located<Arc<str>>,
    /// Addresses that clients use.
    pub vips: Vec<Located<IpAddr>>,
    /// Where ARP and NDP are answered for them.
    pub announce: Announce,
    /// How packets reach the backends.
    pub mode: Mode,
    /// Source addresses towards the backends; empty for the defaults.
    pub snat_addresses: Vec<Located<IpAddr>>,
    /// Ports that clients use.
    pub ports: Vec<ServicePort>,
    /// Where packets end up.
    pub backends: Vec<BackendSettings>,
    /// Table size; `None` for the default.
    pub table_size: Option<Located<TableSize>>,
    /// How its backends are checked; `None` when they are not.
    pub health: Option<Arc<HealthCheck>>,
    /// What it does besides balancing.
    pub policy: PolicySettings,
}

/// What a service does besides balancing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicySettings {
    /// What keeps a client's flows together.
    pub affinity: Affinity,
    /// Clients that are served; empty for all that are not denied.
    pub allow: Vec<Located<IpNet>>,
    /// Clients that are not served. Of two prefixes that cover a client, the longer counts.
    pub deny: Vec<Located<IpNet>>,
    /// Clients that are served in mode `snat`, besides those that must be.
    pub hairpin: Vec<Located<IpNet>>,
    /// The largest TCP segment that either end may announce, in bytes.
    pub mss: Option<Located<NonZeroU16>>,
    /// In mode `nat`: whether a reply without a flow is translated (the default) or routed.
    pub stateless_replies: Option<Located<bool>>,
}

impl PolicySettings {
    /// Whether a reply without a flow is translated.
    #[must_use]
    pub fn stateless_replies(&self) -> bool {
        self.stateless_replies.as_ref().is_none_or(|on| on.value)
    }
}

/// What keeps the flows of a client together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Affinity {
    /// Each flow goes where Maglev says.
    #[default]
    None,
    /// All flows of a client address go to one backend.
    Client,
}

/// An address that we answer for without a service: the next hop of backends in mode `nat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouterSettings {
    /// The address.
    pub address: Located<IpAddr>,
    /// Where ARP and NDP are answered for it.
    pub announce: Announce,
}

/// On which ports ARP and NDP are answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Announce {
    /// On every port.
    #[default]
    All,
    /// On none: the VIP is routed to us.
    None,
    /// On these.
    Ports(Vec<Located<String>>),
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// What clients connect to, host order.
    pub port: Located<L4Port>,
    /// TCP or UDP.
    pub proto: Proto,
    /// The backends' port unless they name their own, host order.
    pub target: L4Port,
}

/// A backend of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendSettings {
    /// Its address.
    pub address: Located<IpAddr>,
    /// Its port when it differs from the service's target, host order.
    pub port: Option<L4Port>,
    /// Share of new flows relative to the others; 0 drains it.
    pub weight: u16,
}
