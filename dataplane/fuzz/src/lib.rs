//! What the fuzz targets share.

/// Bytes of the fuzzer as a little story: packets, answers to them, changed tables.
pub mod script;
/// What must hold for every packet that leaves.
pub mod sent;
/// Checksums, computed the plain way.
pub mod checksum;

/// The world of the golden packets: a worker on simulated rings, two ports, two backends.
#[path = "../../tests/support/world.rs"]
pub mod world;

/// Packets as bytes, made by an implementation that is not ours.
#[path = "../../tests/support/packet.rs"]
pub mod packet;
/// ICMP errors and fragments.
#[path = "../../tests/support/pieces.rs"]
pub mod pieces;
