use ipnet::IpNet;

use super::record::{Direction, Note};
use crate::addr::{Addr, L4Port, Proto};
use crate::drop_reason::DropReason;
use crate::pipeline::packet::{Body, Ip, Packet, Transport, Upper};

/// Which packets are copied: those for which every term holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    terms: Box<[(bool, Term)]>,
}

/// One thing that holds for a packet or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// This is its source or destination, or what an ARP message is about.
    Host(Addr),
    /// Its source or destination lies in this network.
    Net(IpNet),
    /// This is its source or destination port.
    Port(L4Port),
    /// It is one of these.
    Kind(Kind),
    /// One of these is its source or destination.
    Ends(Box<[(Addr, L4Port, Proto)]>),
    /// It ended here: for this reason, or for any.
    Dropped(Option<DropReason>),
    /// It went this way.
    Toward(Direction),
}

/// What a packet carries, as far as a filter cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// ARP.
    Arp,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// TCP over either.
    Tcp,
    /// UDP over either.
    Udp,
    /// ICMP or ICMPv6, neighbour discovery included.
    Icmp,
}

impl Filter {
    /// All of `terms` have to hold; one that comes with `false` must not.
    #[must_use]
    pub fn new(terms: impl IntoIterator<Item = (bool, Term)>) -> Self {
        Self { terms: terms.into_iter().collect() }
    }

    /// Whether a packet is to be copied. Of one that cannot be read, nothing holds but its direction
    /// and that it was dropped.
    #[must_use]
    pub fn takes(&self, packet: &Packet, direction: Direction, note: Note) -> bool {
        self.terms.iter().all(|(wanted, term)| term.holds(packet, direction, note) == *wanted)
    }
}

impl Term {
    fn holds(&self, packet: &Packet, direction: Direction, note: Note) -> bool {
        match self {
            Self::Host(host) => addresses(packet).is_some_and(|both| both.contains(host)),
            Self::Net(net) => addresses(packet)
                .is_some_and(|both| both.iter().any(|addr| net.contains(&addr.to_ip()))),
            Self::Port(port) => {
                transport(packet).is_some_and(|(_, l4)| l4.src == *port || l4.dst == *port)
            }
            Self::Kind(kind) => kind.is_that_of(packet),
            Self::Ends(ends) => transport(packet).is_some_and(|(ip, l4)| {
                let one = |addr, port| ends.contains(&(addr, port, l4.proto));
                one(ip.src, l4.src) || one(ip.dst, l4.dst)
            }),
            Self::Dropped(wanted) => match note {
                Note::Dropped(reason) | Note::Unsent(reason) => {
                    wanted.is_none_or(|wanted| wanted == reason)
                }
                _ => false,
            },
            Self::Toward(wanted) => *wanted == direction,
        }
    }
}

impl Kind {
    fn is_that_of(self, packet: &Packet) -> bool {
        let Some(ip) = ip(packet) else {
            return match packet.body {
                Body::Arp(_) => self == Self::Arp,
                Body::Advertisement(_) => matches!(self, Self::Icmp | Self::Ip6),
                _ => false,
            };
        };
        match self {
            Self::Arp => false,
            Self::Ip => ip.src.is_v4(),
            Self::Ip6 => !ip.src.is_v4(),
            Self::Icmp => matches!(ip.upper, Upper::Icmp { .. }),
            Self::Tcp => transport(packet).is_some_and(|(_, l4)| l4.proto == Proto::Tcp),
            Self::Udp => transport(packet).is_some_and(|(_, l4)| l4.proto == Proto::Udp),
        }
    }
}

fn ip(packet: &Packet) -> Option<&Ip> {
    match &packet.body {
        Body::Ip(ip) | Body::Solicitation(ip, _) => Some(ip),
        Body::Arp(_) | Body::Advertisement(_) | Body::Broken(_) => None,
    }
}

fn addresses(packet: &Packet) -> Option<[Addr; 2]> {
    match &packet.body {
        Body::Arp(arp) => Some([arp.sender, arp.target]),
        Body::Advertisement(target) => Some([*target; 2]),
        _ => ip(packet).map(|ip| [ip.src, ip.dst]),
    }
}

fn transport(packet: &Packet) -> Option<(&Ip, &Transport)> {
    match ip(packet)? {
        ip @ Ip { upper: Upper::Transport(transport), .. } => Some((ip, transport)),
        _ => None,
    }
}
