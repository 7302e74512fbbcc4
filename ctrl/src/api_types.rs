//! What the admin API says, as types: the server serializes them, the command line reads them.
//! Numbers count from the start of the process unless a field says otherwise.

/// How it stands with a cluster.
mod cluster;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use cluster::{
    Announcement, Cluster, ClusterComplaint, ClusterKind, ClusterLease, Latency, Pool, PoolHolder,
    Pools,
};

/// `GET /v1/status`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Name of the gateway.
    pub gateway: String,
    /// Seconds since the process started.
    pub uptime_s: u64,
    /// Milliseconds from the start of the process until it was ready.
    pub start_ms: u64,
    /// How many tables were published.
    pub epoch: u64,
    /// The configuration file.
    pub config: String,
    /// How the last reading of the configuration went.
    pub last_reload: Reload,
    /// Ports in the order of their ids.
    pub ports: Vec<Port>,
    /// Packet workers.
    pub workers: Vec<Worker>,
    /// Where the frames are; `None` when a worker did not answer.
    #[serde(default)]
    pub frames: Option<Frames>,
    /// Other stations that claim addresses of ours.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// Dropped packets by reason.
    pub drops: BTreeMap<String, u64>,
    /// What became of packets: forwarded, replied, refused, originated.
    pub verdicts: BTreeMap<String, u64>,
    /// How health checks stand.
    #[serde(default)]
    pub health: HealthSummary,
    /// What was drained by hand.
    #[serde(default)]
    pub drained: Vec<DrainedState>,
    /// Addresses that are not announced.
    #[serde(default)]
    pub released: Vec<Apart>,
    /// How it stands with the cluster; `None` when the configuration names none.
    #[serde(default)]
    pub cluster: Option<Cluster>,
}

/// How health checks stand, over all services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthSummary {
    /// Checked backends of which not enough is known yet.
    pub unknown: usize,
    /// Checked backends that answer.
    pub up: usize,
    /// Checked backends that have failed.
    pub down: usize,
    /// Services that use all backends because all have failed.
    pub panics: Vec<Panic>,
    /// Times that a service began to.
    pub panics_total: u64,
}

/// A service that uses all backends because all have failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// Its name.
    pub service: String,
    /// `ipv4` or `ipv6`: each stands for itself.
    pub family: String,
}

/// A VIP or backend, as an operator names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// Only where services send to this port of a backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.address, port).fmt(f),
            None => self.address.fmt(f),
        }
    }
}

/// Something that gets no new flows because an operator said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainedState {
    /// `vip` or `backend`.
    pub kind: String,
    /// Its address.
    pub address: IpAddr,
    /// Only where services send to this port of a backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// When it was undrained: drains of the same backend that stand, as a whole or at a port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<Address>,
}

/// How many flows there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsLeft {
    /// Flows that are open.
    pub flows: u64,
}

/// Which addresses shall be announced or not; all when none is named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VipOrder {
    /// The address.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// Of an order to hold: milliseconds after which it ends unless it is given again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
}

/// An address with what was said of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Apart {
    /// The address.
    pub address: IpAddr,
    /// `held`, `lingers` (no longer announced, still forwarded) or `released`.
    pub hold: String,
}

/// A station that claims an address of ours, within the last ten minutes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// Name of the port on whose link it is.
    pub port: String,
    /// Its MAC.
    pub mac: String,
    /// How often it has claimed it.
    pub claims: u64,
    /// When it did so last.
    pub seconds_ago: u64,
}

/// Where the frames of the packet memory are. All parts together are `total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frames {
    /// All frames.
    pub total: usize,
    /// Free ones.
    pub pool: usize,
    /// In fill and rx rings.
    pub rx: usize,
    /// In tx and completion rings.
    pub tx: usize,
    /// Waiting for a next hop.
    pub waiting: usize,
    /// On the way from one worker to another, or home.
    #[serde(default)]
    pub between: usize,
    /// Packets that the kernel dropped because an rx ring was full.
    pub rx_ring_full: u64,
    /// Packets that the kernel dropped because a fill ring was empty.
    pub fill_ring_empty: u64,
}

/// How a reading of the configuration went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {
    /// When, in seconds since 1970.
    pub at: u64,
    /// Whether it is in force.
    pub ok: bool,
    /// What was wrong with it, or what the operator should know; one line each.
    pub problems: Vec<String>,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Its name in the kernel.
    pub name: String,
    /// How the steering program is attached: `native` or `skb`.
    pub mode: String,
    /// Receive queues that we serve.
    pub queues: u32,
    /// Whether it was deleted and made anew since the start, so that nothing goes through it.
    #[serde(default)]
    pub remade: bool,
    /// Whether its sockets are in zero-copy mode.
    pub zero_copy: bool,
    /// Packets received from the kernel.
    pub rx_packets: u64,
    /// Bytes of those, Ethernet header included.
    pub rx_bytes: u64,
    /// Packets handed to the kernel.
    pub tx_packets: u64,
    /// Bytes of those, Ethernet header included.
    pub tx_bytes: u64,
}

/// A packet worker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worker {
    /// The core that it is pinned to.
    pub core: Option<usize>,
    /// Whether it makes no progress; the gateway announces nothing then.
    #[serde(default)]
    pub stalled: bool,
    /// Flows in its table now.
    pub flows: u64,
    /// Places of its table.
    pub flows_max: u64,
    /// Of its flows, TCP flows whose handshake is not finished.
    pub half_open: u64,
    /// Half-open flows that gave way to newer ones.
    pub half_open_evicted: u64,
    /// Frames that wait for a next hop now.
    pub waiting: u64,
    /// Unfinished checksums that it finished.
    pub checksums_finished: u64,
    /// Answers left out because their rate was used up.
    pub answers_limited: u64,
    /// Packets that other workers handed over to it.
    #[serde(default)]
    pub handed_in: u64,
    /// Packets that it handed over, by worker.
    #[serde(default)]
    pub handed_out: Vec<u64>,
    /// Turns of its loop.
    #[serde(default)]
    pub turns: u64,
    /// Turns of its loop that found work.
    pub busy_turns: u64,
    /// Times that it went to sleep.
    pub sleeps: u64,
    /// Epoch of the tables that it uses.
    pub epoch: u64,
}

/// `GET /v1/services`: one for each (VIP, port, protocol).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Name of the service.
    pub name: String,
    /// The address that clients use.
    pub vip: IpAddr,
    /// The port that clients use.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// How packets reach the backends.
    pub mode: String,
    /// Names of the ports on which the VIP is announced by us.
    pub announce: Vec<String>,
    /// Of a service of the cluster: who announces it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcement: Option<Announcement>,
    /// Of a service of the cluster: what is wrong with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Slots of the Maglev table.
    pub table_size: u32,
    /// `held`, `lingers` (no longer announced, still forwarded) or `released`.
    #[serde(default)]
    pub hold: String,
    /// Whether the VIP was drained by hand.
    #[serde(default)]
    pub drained: bool,
    /// Whether all backends are used because all have failed.
    #[serde(default)]
    pub panic: bool,
    /// Whether new connections are refused because all backends have failed.
    #[serde(default)]
    pub refusing: bool,
    /// Where packets end up.
    pub backends: Vec<Backend>,
    /// Flows begun.
    pub flows_total: u64,
    /// Packets from clients that went to a backend.
    pub packets_in: u64,
    /// Bytes of those (IP).
    pub bytes_in: u64,
    /// Packets from backends that went to clients.
    pub packets_out: u64,
    /// Bytes of those (IP).
    pub bytes_out: u64,
    /// Packets that found no backend.
    pub no_backend: u64,
}

/// A backend of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Its address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Its weight in this service.
    pub weight: u16,
    /// `active`, `draining` (weight 0), `drained` (by hand) or `failed` (its check).
    pub state: String,
    /// Its share of new flows.
    pub share_percent: f64,
    /// Flows to it now, where they are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows: Option<u64>,
    /// Connections that it answered with RST when they began, in all services together.
    #[serde(default)]
    pub refused: u64,
    /// Established connections that it ended by RST, in all services together.
    #[serde(default)]
    pub resets: u64,
    /// ICMP errors that said it, or its port, cannot be reached, in all services together.
    #[serde(default)]
    pub unreachable: u64,
    /// What its check says; `None` when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// What a check says of a backend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// `unknown` (counts as up), `up` or `down`.
    pub standing: String,
    /// Since when, in seconds since 1970.
    pub since: u64,
    /// Why the last probe that failed did.
    pub last_error: Option<String>,
    /// Probes made.
    pub probes: u64,
    /// Of those, failed ones.
    pub failures: u64,
}

/// `GET /v1/flows?limit=N&service=NAME`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// `tcp` or `udp`.
    pub proto: String,
    /// The client.
    pub client: SocketAddr,
    /// What it talks to; `None` when that was removed.
    pub vip: Option<SocketAddr>,
    /// How its packets are forwarded; `snat` for hairpin clients of services in other modes.
    #[serde(default)]
    pub mode: String,
    /// Our address towards the backend; `None` when it was removed, or the mode takes none.
    pub snat: Option<SocketAddr>,
    /// The backend.
    pub backend: SocketAddr,
    /// Where the connection stands.
    pub state: String,
    /// Milliseconds since the last packet.
    pub idle_ms: u64,
    /// Name of the service; `None` when it was removed.
    pub service: Option<String>,
}
