//! Kubernetes objects as plain data, with the names that they have in JSON. Fields that we neither
//! read nor write are left out; what we do not know is ignored, so that newer clusters are read
//! too.

/// What stands for nothing.
mod null;
/// What every object has.
pub mod metadata;
/// Statements in the status of an object.
pub mod condition;
/// Which labels something selects.
pub mod selector;
/// Address pools.
pub mod pool;
/// Services.
pub mod service;
/// Policies that say who announces what.
pub mod l2_policy;
/// Who leads.
pub mod lease;
/// Endpoints of services.
pub mod endpoint_slice;
/// Nodes.
pub mod node;
/// Settings of Cilium.
pub mod config_map;
/// Objects that are kept as they are.
pub mod raw;
/// Definitions of Cilium's objects, for clusters that have none.
#[cfg(test)]
mod definitions;
