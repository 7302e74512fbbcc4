//! Connections as one worker knows them. Allocated at start; never grows.

/// Sizes, and the memory that they take.
pub mod config;
/// How packets of either direction name a flow, and the hashes of those names.
pub mod key;
/// The hash function of both indexes.
mod sip;
/// One connection: 48 bytes.
pub mod entry;
/// Fingerprint index: hash to entry, bucketed by cache line.
pub mod index;
/// Finds the block of a pair and a part of its range.
mod block_map;
/// SNAT ports, in blocks, oldest first.
pub mod ports;
/// Which source address talks to which backend, and the ports between them.
pub mod pair;
/// Half-open flows by age, for the quotas.
pub mod half_open;
/// Keys of chance, for tests.
#[cfg(test)]
mod mix;
/// SYNs that have to come again while a flood lasts.
mod first_syns;
/// What is to be done about handshakes.
pub mod news;
/// The table: entries, both indexes, ports.
pub mod table;
/// TCP states and what they mean for time.
pub mod state;

pub use config::FlowTableConfig;
pub use entry::{Flow, FlowRef};
pub use key::{FlowHash, ForwardKey, NatKey, NewDirect, NewFlow, ReverseKey};
pub use news::Gone;
pub use state::State;
pub use table::FlowTable;
