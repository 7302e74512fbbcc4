//! The cluster's own objects: what they say, and what we say on them.

/// The objects, as far as we read and write them.
pub mod api;
/// Who announces which service, and on which interfaces.
pub mod l2;
/// Who leads, by leases.
pub mod election;
/// Which service gets which address of the pools.
pub mod ipam;
