//! The kernel side of the control thread against the real kernel, in network namespaces that
//! live no longer than the test's own threads.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "netlink/events.rs"]
mod events;
#[path = "netlink/groups.rs"]
mod groups;
#[path = "netlink/iproute.rs"]
mod iproute;
#[path = "netlink/neighbours.rs"]
mod neighbours;
#[path = "netlink/netns.rs"]
mod netns;
#[path = "netlink/queues.rs"]
mod queues;
#[path = "netlink/snapshot.rs"]
mod snapshot;
