//! What a worker looks up. Control builds a whole `Tables`, publishes one pointer, and frees it
//! after every worker has moved on. Nothing here changes once built.

/// Stable ids with a generation, and the slab that resolves them.
pub mod id;
/// Gives out stable ids to keys that come and go. Used by control only.
pub mod registry;
/// Ports: the network interfaces that we drive.
pub mod port;
/// VLANs on the links of ports.
pub mod vlan;
/// Addresses that we own: VIPs and SNAT addresses.
pub mod address;
/// Until when addresses may be announced.
pub mod deadline;
/// Frontends: (VIP, port, protocol) and how it is balanced.
pub mod frontend;
/// What a service does besides balancing: affinity, allowed clients, hairpin, MSS.
pub mod policy;
/// Prefixes with values: the longest counts.
pub mod prefixes;
/// Backends: where packets end up.
pub mod backend;
/// Backends in mode `nat`: whose replies come through us.
pub mod nat;
/// Maglev lookup tables, bit-compatible with Cilium's.
pub mod maglev;
/// Cilium's flow hash, which selects the Maglev slot.
pub mod flow_hash;
/// Routes and next hops, mirrored from the kernel's own tables.
pub mod route;
/// The snapshot: all of the above in one value.
pub mod snapshot;
/// One writer, many readers, freed by control.
pub mod publish;

pub use address::{Addresses, Owned, SnatAddress, Vip};
pub use backend::{Backend, BackendState};
pub use deadline::{Deadline, Deadlines};
pub use frontend::{Frontend, Frontends};
pub use id::{BackendId, FrontendId, HopId, Id, Slab, SnatId};
pub use maglev::Maglev;
pub use nat::{NatBackends, NatEnd, Stateless};
pub use policy::{Policy, Sources};
pub use port::{Port, PortId, PortMask};
pub use prefixes::Prefixes;
pub use route::{Hop, Route, Routing};
pub use snapshot::{Tables, Timeouts};
pub use vlan::Vlan;
