//! The kernel side of the control thread against the real kernel, in network namespaces that
//! live no longer than the test's own threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Changes of every kind, one at a time and in thousands.
#[path = "netlink/events.rs"]
mod events;
/// Solicited-node groups as the kernel lists them.
#[path = "netlink/groups.rs"]
mod groups;
#[path = "netlink/iproute.rs"]
mod iproute;
/// Entries that we ask for, with a neighbour that answers and one that does not.
#[path = "netlink/neighbours.rs"]
mod neighbours;
#[path = "netlink/netns.rs"]
mod netns;
/// Receive queues in use.
#[path = "netlink/queues.rs"]
mod queues;
/// One picture, against what iproute2 prints.
#[path = "netlink/snapshot.rs"]
mod snapshot;
