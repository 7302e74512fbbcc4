//! What the steering program shall send to our sockets, as plain data. Made by
//! `crate::compile` from the same `Desired` as the tables, written to the maps by
//! `crate::steer`.

use std::collections::{BTreeMap, BTreeSet};

use dataplane::addr::{Addr, L4Port, Proto};
use dataplane::tables::NatEnd;

/// What the program says of a packet.
pub mod judge;

/// A port range of one protocol, host order, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    /// TCP or UDP.
    pub proto: Proto,
    /// First port.
    pub first: L4Port,
    /// Last port.
    pub last: L4Port,
}

/// How much of an owned address is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// All of it, ARP and NDP included.
    Whole,
    /// The host uses the address too: only these ports are ours (one port is a range of one).
    Ranges(Vec<PortRange>),
}

/// Everything that the maps hold, apart from sockets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steering {
    /// Addresses that we own, wholly or in part.
    pub addresses: BTreeMap<Addr, Share>,
    /// Backends in mode `nat`: what they send from these ports is ours.
    pub nat_backends: BTreeSet<NatEnd>,
    /// Addresses of the host itself: what is not ours by port passes to the kernel first.
    pub host: BTreeSet<Addr>,
}
