//! The throughput harness: what the box can do, and the proof of it. Two halves, `memory` and
//! `wire`, fill one `report::model::Run`.

/// The command line.
pub mod cli;
/// The worker loop on simulated rings, on one core, without a kernel.
pub mod memory;
/// Real packets between network namespaces or interfaces, beside peers.
pub mod wire;
/// Order statistics.
pub mod stats;
/// Allocations, counted.
pub mod allocations;
/// The clock of every measurement.
pub mod clock;
/// What a run found, and how it is shown.
pub mod report;
/// Two runs beside each other: what became slower.
pub mod compare;
/// Two programs that take turns.
pub mod pair;
/// Instructions per packet, held against what is checked in.
pub mod guard;
/// Huge pages: having some, having none.
pub mod pages;
/// The machine and the commit of a run.
pub mod machine;
