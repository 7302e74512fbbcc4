//! The cluster's own objects: what they say, and what we say on them.
//!
//! A thread of its own (`source`) lists and watches each kind (`watch`, `kinds`), keeps what it reads
//! (`store`) and what that comes to (`view`, `translate`), and hands it to control as one immutable value
//! (`snapshot`), which puts it beside what the file says (`merge`).

/// The objects, as far as we read and write them.
pub mod api;
/// Who announces which service, and on which interfaces.
pub mod l2;
/// Who leads, by leases.
pub mod election;
/// Elections against the API server.
pub mod leading;
/// What we say of policies.
mod verdicts;
/// What is announced now.
pub mod announcing;
/// Which service gets which address of the pools.
pub mod ipam;
/// Giving them, in the cluster.
pub mod allocating;
/// Pools, for people.
pub mod pools;
/// What is wrong, said on the objects.
pub mod events;
/// The kinds that are watched.
pub mod kinds;
/// Objects of one kind.
pub mod store;
/// Listing and watching.
pub mod watch;
/// What is counted of it.
pub mod tally;
/// Lists in pages.
mod pages;
/// How the API server is reached.
mod client;
/// Services of the cluster to services of ours.
pub mod translate;
/// Answers to whoever asks whether a service has endpoints behind this gateway.
mod health_ports;
/// Routes to pods.
pub mod routes;
/// What is known, and what it comes to.
pub mod view;
/// What the cluster wants of us.
pub mod snapshot;
/// The thread.
pub mod source;
/// What the cluster wants beside what the file says.
pub mod merge;
