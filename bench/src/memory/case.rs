//! The cases, and how one becomes a row of the report.

use anyhow::{Result, ensure};
use dataplane::addr::Family;
use dataplane::tables::frontend::Mode;

use super::bars;
use super::established::{Established, IMIX, Replies};
use super::fragmented::{Fragmented, Order};
use super::noise::Noise;
use super::opening::{Flood, Opening};
use super::packets::SMALL;
use super::round::Feed;
use super::world::{Shape, World};
use crate::report::model::Bar;

/// Bytes of a full frame without its checksum.
const FULL: usize = 1_514;

/// What one row measures.
#[derive(Debug, Clone, Copy)]
pub enum Load {
    /// Clients' packets on established flows, of these lengths in turn.
    Established(&'static [usize]),
    /// The same while tables are published a hundred times a second.
    Swaps,
    /// Backends' packets.
    Replies,
    /// New flows; ports free, or 90 % of them taken.
    Opening {
        /// Whether 90 % of all ports are taken.
        crowded: bool,
    },
    /// New flows of a flood beside established ones.
    Flood,
    /// Clients' datagrams on established flows, each in pieces.
    Fragments(Order),
    /// Questions for a VIP.
    Arp,
    /// Nothing that could be read.
    Garbage,
}

/// One row to be.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// See [`crate::report::model::Row::id`].
    pub id: &'static str,
    /// Its heading.
    pub group: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What is measured.
    pub load: Load,
    /// Of which family.
    pub family: Family,
    /// How the services forward.
    pub mode: Mode,
    /// Established flows.
    pub flows: u32,
    /// The id of a second row, measured beside this one: the same on small pages.
    pub small_pages: Option<&'static str>,
}

const ESTABLISHED: &str = "Established flows, random order";
const SIZES: &str = "Packet sizes, 100 k established flows";
const MODES: &str = "Other modes, 100 k established flows";
const FRAGMENTS: &str = "Fragments, 100 k established flows";
const OPENING: &str = "New flows";
const OTHER: &str = "No flows";

/// Every case in the order of the report.
pub const CASES: &[Case] = &[
    established("established/ipv4/64/1k", "IPv4, 1 k flows", Family::V4, 1_000),
    established("established/ipv4/64/100k", "IPv4, 100 k flows", Family::V4, 100_000),
    Case {
        small_pages: Some("established/ipv4/64/small-pages/1m"),
        ..established("established/ipv4/64/1m", "IPv4, 1 M flows", Family::V4, 1_000_000)
    },
    Case {
        small_pages: Some("established/ipv4/64/small-pages/16m"),
        ..established("established/ipv4/64/16m", "IPv4, 16 M flows", Family::V4, 16_000_000)
    },
    established("established/ipv6/64/1k", "IPv6, 1 k flows", Family::V6, 1_000),
    established("established/ipv6/64/100k", "IPv6, 100 k flows", Family::V6, 100_000),
    established("established/ipv6/64/1m", "IPv6, 1 M flows", Family::V6, 1_000_000),
    established("established/ipv6/64/16m", "IPv6, 16 M flows", Family::V6, 16_000_000),
    Case {
        load: Load::Replies,
        group: ESTABLISHED,
        ..hundred("replies/ipv4/64/100k", "replies, IPv4, 100 k flows")
    },
    Case {
        load: Load::Swaps,
        group: ESTABLISHED,
        ..hundred("swaps/ipv4/64/100k", "IPv4, 100 k flows, 100 new tables a second")
    },
    Case { load: Load::Established(&IMIX), ..hundred("sizes/ipv4/imix/100k", "IPv4, IMIX") },
    Case { load: Load::Established(&[FULL]), ..hundred("sizes/ipv4/1514/100k", "IPv4, 1 514 B") },
    direct("modes/nat/ipv4/64/100k", "nat, IPv4", Mode::Nat),
    Case {
        load: Load::Replies,
        ..direct("modes/nat-replies/ipv4/64/100k", "nat, replies, IPv4", Mode::Nat)
    },
    direct("modes/dsr-l2/ipv4/64/100k", "dsr-l2, IPv4", Mode::DsrL2),
    fragments("fragments/ipv4/64/in-order", "IPv4, datagrams of 3, in order", Order::Sent),
    fragments(
        "fragments/ipv4/64/first-last",
        "IPv4, datagrams of 3, the first last",
        Order::FirstLast,
    ),
    opening(
        "new/ipv4/64/free",
        "IPv4, ports free",
        Family::V4,
        Load::Opening { crowded: false },
        0,
    ),
    opening(
        "new/ipv6/64/free",
        "IPv6, ports free",
        Family::V6,
        Load::Opening { crowded: false },
        0,
    ),
    opening(
        "new/ipv4/64/crowded",
        "IPv4, 90 % of all ports taken",
        Family::V4,
        Load::Opening { crowded: true },
        CROWD,
    ),
    opening(
        "flood/ipv4/64",
        "IPv4, three of four packets are SYNs of a flood",
        Family::V4,
        Load::Flood,
        10_000,
    ),
    opening("arp", "ARP requests (10 000 a second are answered)", Family::V4, Load::Arp, 0),
    opening("garbage", "frames of chance, dropped", Family::V4, Load::Garbage, 0),
];

/// Pairs of source address and backend in a crowded world, and the ports of each.
const CROWDED_PAIRS: u32 = 16;
const PORTS: u32 = 64_512;
/// Nine of ten ports.
const CROWD: u32 = CROWDED_PAIRS * PORTS / 10 * 9;

const fn established(id: &'static str, label: &'static str, family: Family, flows: u32) -> Case {
    let load = Load::Established(&[SMALL]);
    let (group, mode) = (ESTABLISHED, Mode::Snat);
    Case { id, group, label, load, family, mode, flows, small_pages: None }
}

const fn hundred(id: &'static str, label: &'static str) -> Case {
    Case { group: SIZES, ..established(id, label, Family::V4, 100_000) }
}

const fn direct(id: &'static str, label: &'static str, mode: Mode) -> Case {
    Case { group: MODES, mode, ..hundred(id, label) }
}

const fn fragments(id: &'static str, label: &'static str, order: Order) -> Case {
    Case { group: FRAGMENTS, load: Load::Fragments(order), ..hundred(id, label) }
}

const fn opening(
    id: &'static str,
    label: &'static str,
    family: Family,
    load: Load,
    flows: u32,
) -> Case {
    let group = match load {
        Load::Arp | Load::Garbage => OTHER,
        _ => OPENING,
    };
    Case { id, group, label, load, family, mode: Mode::Snat, flows, small_pages: None }
}

impl Case {
    /// The world that it needs: a flow table that is never more than 80 % full, and pairs enough
    /// that ports do not run out before flows do. Flows whose backends answer past us count as half
    /// open, for which there is half of a table.
    #[must_use]
    pub fn shape(&self) -> Shape {
        let halves = if self.mode == Mode::DsrL2 { 2 } else { 1 };
        let flows = (self.flows as usize * 5 / 4).max(1 << 17) * halves;
        match self.load {
            Load::Opening { crowded: true } => {
                Shape { flows, backends: CROWDED_PAIRS, sources: 1, ..Shape::default() }
            }
            Load::Flood | Load::Opening { .. } => Shape { flows: 1 << 20, ..Shape::default() },
            _ => Shape { flows, mode: self.mode, ..Shape::default() },
        }
    }

    /// A world in which everything is as the case wants it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn build(&self, delay_ns: u64) -> Result<(World, Box<dyn Feed>)> {
        let shape = Shape { delay_ns, ..self.shape() };
        ensure!(self.flows as usize <= shape.flows, "{}: more flows than places", self.id);
        Ok(match self.load {
            Load::Established(lens) => {
                boxed(Established::new(self.family, self.flows, lens, &shape)?)
            }
            Load::Swaps => boxed(Established::new(self.family, self.flows, &[SMALL], &shape)?),
            Load::Replies => boxed(Replies::new(self.family, self.flows, &shape)?),
            Load::Opening { .. } => boxed(Opening::new(self.family, self.flows, &shape)?),
            Load::Flood => boxed(Flood::new(self.family, self.flows, &shape)?),
            Load::Fragments(order) => boxed(Fragmented::new(order, self.flows, &shape)?),
            Load::Arp => boxed(Noise::arp(&shape)?),
            Load::Garbage => boxed(Noise::garbage(&shape)?),
        })
    }

    /// Whether `wanted` names one of its rows.
    #[must_use]
    pub fn is_wanted(&self, wanted: &dyn Fn(&str) -> bool) -> bool {
        wanted(self.id) || self.small_pages.is_some_and(wanted)
    }

    /// The port that its packets come in through.
    #[must_use]
    pub const fn port(&self) -> usize {
        matches!(self.load, Load::Replies) as usize
    }

    /// Whether the time of each stage is worth a look.
    #[must_use]
    pub const fn has_stages(&self) -> bool {
        matches!(self.load, Load::Established(&[SMALL]) | Load::Replies)
    }

    /// Whether the row stands in the plot of flows.
    #[must_use]
    pub fn is_of_flows(&self) -> bool {
        self.id.starts_with("established/")
    }

    /// The bars that it is held to, reached with these medians: ns, multiples of `null` and `miss`.
    #[must_use]
    pub fn bars(&self, reached: bars::Reached) -> Vec<Bar> {
        bars::of(self.id, reached)
    }
}

fn boxed<F: Feed + 'static>((world, feed): (World, F)) -> (World, Box<dyn Feed>) {
    (world, Box::new(feed))
}
