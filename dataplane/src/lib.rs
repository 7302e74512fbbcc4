//! The packet path of Portreeve. Read the modules in this order.

/// Addresses, MACs, protocols and classes: the words that every module uses.
pub mod addr;
/// Why a packet ended here: one enum, one counter, one metric.
pub mod drop_reason;
/// Per-worker counters: single writer, read by control.
pub mod counters;
/// Limits, each named and checked against the others at compile time.
pub mod limits;
/// The one place that reads a clock.
pub mod time;
/// Immutable snapshots of everything that a worker looks up, and how they are published.
pub mod tables;
/// Bytes on the wire: Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP, checksums.
pub mod wire;
/// Memory allocated once, in huge pages where they can be had, and fetching ahead.
pub mod mem;
/// Connections: keys, entries, indexes, ports, expiry. Owned by one worker.
pub mod flow;
/// Datagrams that come in pieces: what the first one said, and those that wait for it.
pub mod fragment;
/// The life of a packet: parse, classify, stage, rewrite, tx.
pub mod pipeline;
/// AF_XDP: memory, frames, rings. The only place with `unsafe`, next to `mem`.
pub mod xsk;
/// Packets copied for people to look at.
pub mod capture;
/// Pin, loop, refresh the tables, hand bursts to the pipeline.
pub mod worker;

/// A ring from one thread to one other.
pub mod spsc;
mod sync;
