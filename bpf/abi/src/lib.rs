//! What the steering program and the control thread have to agree on: names and sizes of maps,
//! the bytes of keys and values, the numbers of counters. The other side is `bpf/steer.bpf.c`.
//!
//! Addresses are 16 bytes in network order, IPv4 as IPv4-mapped IPv6. Ports are in network
//! order, other numbers in that of the machine.

#![no_std]
#![forbid(unsafe_code)]

/// What an address is to us.
pub mod address;
/// Sources and destinations of egress policies.
pub mod egress;
/// First fragments that were ours.
pub mod fragment;
/// Who wrote the maps.
pub mod instance;
/// Maps: name, kind, sizes.
pub mod map;
/// Backends of services in mode `nat`.
pub mod nat;
/// Ports of ours: which sockets belong to an interface.
pub mod port;
/// Port ranges of shared addresses.
pub mod range;
/// Counters of the program.
pub mod verdict;

pub use address::AddressFlags;
pub use egress::{Coverage, Source, Target};
pub use fragment::Fragment;
pub use instance::Instance;
pub use map::{Kind, Map};
pub use nat::NatBackend;
pub use port::{Mode, Port};
pub use range::RangePrefix;
pub use verdict::Verdict;

/// Name of the program in the object.
pub const PROGRAM: &str = "steer";

/// Counts up with every change of the meaning or shape of a map: maps pinned by a program with
/// another layout are not adopted.
pub const LAYOUT: u32 = 1;

/// Ports that one program serves.
pub const PORTS_MAX: u32 = 32;

/// Receive queues that one port can have.
pub const QUEUES_MAX: u32 = 64;
