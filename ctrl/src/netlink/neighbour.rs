//! Neighbour entries: how the kernel tells of them, and how they are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use dataplane::addr::Mac;
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourHeader,
    NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::RouteProtocol;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::packet_core::Parseable;

use super::link::mac;
use crate::topology::Neighbour;

/// `NDA_PROTOCOL` of the entries that we install: it says so to the operator (`ip neigh` prints
/// it) and to the next run of ours. No number of `rtnetlink.h` or of iproute2's table.
pub(super) const PROTOCOL: u8 = 80;

/// Interface index and address name an entry.
pub(super) type Key = (u32, IpAddr);

/// What is known of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// The MAC, in the states in which the kernel uses it.
    pub(super) mac: Option<Mac>,
    /// The operator's own word (permanent or noarp): not to be touched.
    pub(super) fixed: bool,
    /// The kernel keeps it resolved.
    pub(super) managed: bool,
    /// Carries [`PROTOCOL`].
    pub(super) ours: bool,
}

/// All entries of the kernel.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    entries: BTreeMap<Key, Entry>,
    /// Those that the last dump lacked.
    doubted: BTreeSet<Key>,
}

impl Neighbours {
    /// From the messages of a dump.
    pub(super) fn from_dump(messages: &[NeighbourMessage]) -> Self {
        let entries = messages.iter().filter_map(decode);
        let entries = entries.filter_map(|(key, entry)| Some((key, entry?))).collect();
        Self { entries, doubted: BTreeSet::new() }
    }

    /// Takes over a dump, which may lack an entry by accident: one that we have stays until a
    /// second dump lacks it, too. Says whether the dump tells what we knew already.
    pub(super) fn adopt(&mut self, dump: Self) -> bool {
        let lacking = self.entries.iter().filter(|(key, _)| !dump.entries.contains_key(key));
        let kept = lacking.filter(|(key, _)| !self.doubted.contains(key));
        let kept: BTreeMap<Key, Entry> = kept.map(|(key, entry)| (*key, *entry)).collect();
        let settled = kept.is_empty() && self.entries == dump.entries;
        self.doubted = kept.keys().copied().collect();
        self.entries = dump.entries;
        self.entries.extend(kept);
        settled
    }

    /// Applies `RTM_NEWNEIGH` or, if `gone`, `RTM_DELNEIGH`, and says whether that took away an
    /// entry that we have asked the kernel to keep resolved. An error means that the message
    /// could not be read.
    pub(super) fn apply(&mut self, gone: bool, payload: &[u8]) -> anyhow::Result<bool> {
        let Some((key, entry)) = decode(&NeighbourMessage::parse(payload)?) else {
            return Ok(false);
        };
        self.doubted.remove(&key);
        match entry.filter(|_| !gone) {
            Some(entry) => {
                self.entries.insert(key, entry);
                Ok(false)
            }
            None => Ok(self.entries.remove(&key).is_some_and(|lost| lost.ours && lost.managed)),
        }
    }

    /// The entry of this name.
    pub(super) fn get(&self, key: Key) -> Option<Entry> {
        self.entries.get(&key).copied()
    }

    /// Notes what the kernel has acknowledged; its own event comes later.
    pub(super) fn note_ours(&mut self, key: Key, managed: bool) {
        let mac = self.get(key).and_then(|entry| entry.mac);
        self.entries.insert(key, Entry { mac, fixed: false, managed, ours: true });
    }

    /// Notes that the kernel has removed it.
    pub(super) fn note_gone(&mut self, key: Key) {
        self.entries.remove(&key);
    }

    /// The names of those that we have asked the kernel to keep resolved.
    pub(super) fn managed(&self) -> impl Iterator<Item = Key> + '_ {
        let ours = self.entries.iter().filter(|(_, entry)| entry.ours && entry.managed);
        ours.map(|(key, _)| *key)
    }

    /// As the topology lists them, by interface and address.
    pub(super) fn list(&self) -> Vec<Neighbour> {
        let listed =
            |(&(ifindex, addr), entry): (&Key, &Entry)| Neighbour { ifindex, addr, mac: entry.mac };
        self.entries.iter().map(listed).collect()
    }
}

/// Asks for the entries of both families.
pub(super) fn question() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default())
}

/// What `ip neigh add ADDR dev LINK managed extern_learn protocol 80` sends.
pub(super) fn managed(key: Key) -> RouteNetlinkMessage {
    let mut message = named(key);
    message.header.flags = NeighbourFlags::ExtLearned;
    message.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    message.attributes.push(protocol());
    RouteNetlinkMessage::NewNeighbour(message)
}

/// What `ip neigh replace ADDR dev LINK use` sends; with our mark when the entry becomes ours.
pub(super) fn used(key: Key, mark: bool) -> RouteNetlinkMessage {
    let mut message = named(key);
    message.header.flags = NeighbourFlags::Use;
    if mark {
        message.attributes.push(protocol());
    }
    RouteNetlinkMessage::NewNeighbour(message)
}

/// What `ip neigh del ADDR dev LINK` sends.
pub(super) fn removal(key: Key) -> RouteNetlinkMessage {
    RouteNetlinkMessage::DelNeighbour(named(key))
}

fn named((ifindex, addr): Key) -> NeighbourMessage {
    let family = match addr {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    let mut message = NeighbourMessage::default();
    message.header = NeighbourHeader { family, ifindex, ..NeighbourHeader::default() };
    message.attributes.push(NeighbourAttribute::Destination(addr.into()));
    message
}

fn protocol() -> NeighbourAttribute {
    NeighbourAttribute::Protocol(RouteProtocol::Other(PROTOCOL))
}

/// `None` for what is no neighbour at all: forwarding entries of bridges, proxied addresses. No
/// entry for what the kernel makes up by itself, and without an event: the MACs of multicast and
/// broadcast addresses, of itself, of links that need none.
fn decode(message: &NeighbourMessage) -> Option<(Key, Option<Entry>)> {
    if message.header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut addr, mut lladdr) = (None, None);
    let (mut managed, mut ours) = (false, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => {
                addr = Some(IpAddr::from(*v4));
            }
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => {
                addr = Some(IpAddr::from(*v6));
            }
            NeighbourAttribute::LinkLayerAddress(bytes) => lladdr = mac(bytes),
            NeighbourAttribute::ExtFlags(flags) => {
                managed = flags.contains(NeighbourExtFlags::Managed);
            }
            NeighbourAttribute::Protocol(protocol) => ours = u8::from(*protocol) == PROTOCOL,
            _ => {}
        }
    }
    let state = message.header.state;
    let fixed = matches!(state, NeighbourState::Permanent | NeighbourState::Noarp);
    let made_up = state == NeighbourState::Noarp && !lladdr.is_some_and(is_unicast);
    let mac = lladdr.filter(|_| is_usable(state));
    let entry = Entry { mac, fixed, managed, ours };
    Some(((message.header.ifindex, addr?), Some(entry).filter(|_| !made_up)))
}

fn is_unicast(mac: Mac) -> bool {
    mac != Mac::default() && mac.0[0] & 1 == 0
}

/// The kernel's `NUD_VALID`.
fn is_usable(state: NeighbourState) -> bool {
    matches!(
        state,
        NeighbourState::Permanent
            | NeighbourState::Noarp
            | NeighbourState::Reachable
            | NeighbourState::Probe
            | NeighbourState::Stale
            | NeighbourState::Delay
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry = Entry { mac: None, fixed: false, managed: true, ours: true };

    fn key(last: u8) -> Key {
        (3, IpAddr::from([10, 0, 0, last]))
    }

    fn neighbours(last: &[u8]) -> Neighbours {
        let entries = last.iter().map(|last| (key(*last), ENTRY)).collect();
        Neighbours { entries, doubted: BTreeSet::new() }
    }

    #[test]
    fn an_entry_goes_only_when_two_dumps_lack_it() {
        let mut held = neighbours(&[1, 2]);
        assert!(!held.adopt(neighbours(&[1])));
        assert_eq!(held.get(key(2)), Some(ENTRY), "one dump can lack it by accident");
        assert!(!held.adopt(neighbours(&[1])));
        assert_eq!(held.get(key(2)), None);
        assert!(held.adopt(neighbours(&[1])));
    }

    #[test]
    fn an_entry_that_the_second_dump_has_again_is_doubted_no_more() {
        let mut held = neighbours(&[1, 2]);
        assert!(!held.adopt(neighbours(&[1])));
        assert!(held.adopt(neighbours(&[1, 2])));
        assert!(!held.adopt(neighbours(&[1])));
        assert_eq!(held.get(key(2)), Some(ENTRY));
    }
}
