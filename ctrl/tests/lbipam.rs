//! LB-IPAM beside Cilium's own: what its operator (v1.20.2) did, step by step, against a real API
//! server, is in `data/lbipam.jsonl`; and what must hold whatever is done to pools and services.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// What an API server does to objects that are written.
#[path = "lbipam/cluster.rs"]
mod cluster;
/// Where we do on purpose what Cilium does not.
#[path = "lbipam/differences.rs"]
mod differences;
/// What holds whatever happens.
#[path = "lbipam/properties.rs"]
mod properties;
/// The recorded scenarios.
#[path = "lbipam/scenarios.rs"]
mod scenarios;
/// What the records do not show.
#[path = "lbipam/unrecorded.rs"]
mod unrecorded;
