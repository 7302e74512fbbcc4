use std::collections::BTreeMap;

use dataplane::addr::Addr;
use dataplane::tables::NatEnd;
use portreeve_bpf_abi::{AddressFlags, NatBackend, RangePrefix};
use zerocopy::transmute;

use super::blocks::blocks;
use crate::steering::{PortRange, Share, Steering};

/// Entries of `addresses`: address to flags.
pub(super) type Addresses = BTreeMap<[u8; 16], [u8; 4]>;
/// Entries of `port_ranges`: (prefix length, block) to a value that nobody reads.
pub(super) type Ranges = BTreeMap<(u32, [u8; 20]), [u8; 4]>;

/// Entries of `nat_backends`: backend to a value that nobody reads.
pub(super) type NatBackends = BTreeMap<[u8; 20], [u8; 4]>;

/// The entry is there: all that its value says.
const PRESENT: [u8; 4] = 1u32.to_ne_bytes();

/// What the maps shall hold, as bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Entries {
    pub(super) addresses: Addresses,
    pub(super) ranges: Ranges,
    pub(super) nat_backends: NatBackends,
}

impl From<&Steering> for Entries {
    fn from(steering: &Steering) -> Self {
        let mut entries = Self::default();
        for (addr, share) in &steering.addresses {
            match share {
                Share::Whole => entries.flag(addr, AddressFlags::WHOLE),
                Share::Ranges(ranges) => {
                    entries.flag(addr, AddressFlags::SHARED);
                    ranges.iter().for_each(|range| entries.range(addr, range));
                }
            }
        }
        steering.nat_backends.iter().for_each(|end| entries.nat_backend(end));
        steering.host.iter().for_each(|addr| entries.flag(addr, AddressFlags::HOST));
        entries
    }
}

impl Entries {
    fn flag(&mut self, addr: &Addr, flag: AddressFlags) {
        let flags = self.addresses.entry(*addr.octets()).or_default();
        *flags = (AddressFlags::from_bytes(*flags) | flag).to_bytes();
    }

    fn nat_backend(&mut self, end: &NatEnd) {
        self.flag(&end.addr, AddressFlags::BACKEND);
        let key = NatBackend::new(*end.addr.octets(), end.proto as u8, end.port);
        self.nat_backends.insert(transmute!(key), PRESENT);
    }

    fn range(&mut self, addr: &Addr, range: &PortRange) {
        for (port, bits) in blocks(range.first, range.last) {
            let block = RangePrefix::new(*addr.octets(), range.proto as u8, port);
            self.ranges.insert((RangePrefix::prefix_len(bits), transmute!(block)), PRESENT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use dataplane::addr::Proto;

    use super::*;

    #[test]
    fn an_address_of_the_host_that_we_share_is_both() {
        let addr = Addr::v4([192, 0, 2, 1]);
        let range = PortRange { proto: Proto::Udp, first: 80, last: 80 };
        let entries = Entries::from(&Steering {
            addresses: BTreeMap::from([(addr, Share::Ranges(vec![range]))]),
            host: BTreeSet::from([addr]),
            ..Steering::default()
        });
        let flags = AddressFlags::SHARED | AddressFlags::HOST;
        assert_eq!(entries.addresses, BTreeMap::from([(*addr.octets(), flags.to_bytes())]));
        let mut key = [0; 20];
        key[..16].copy_from_slice(addr.octets());
        key[16] = 17;
        key[18..].copy_from_slice(&80u16.to_be_bytes());
        assert_eq!(entries.ranges.into_keys().collect::<Vec<_>>(), [(160, key)]);
    }

    #[test]
    fn a_wholly_owned_address_has_no_ranges() {
        let addr = Addr::v6([0x20; 16]);
        let entries = Entries::from(&Steering {
            addresses: BTreeMap::from([(addr, Share::Whole)]),
            ..Steering::default()
        });
        assert_eq!(entries.addresses[addr.octets()], AddressFlags::WHOLE.to_bytes());
        assert!(entries.ranges.is_empty());
    }

    #[test]
    fn a_nat_backend_is_an_address_and_an_end() {
        let addr = Addr::v4([192, 0, 2, 1]);
        let end = NatEnd { addr, port: 0x1234, proto: Proto::Tcp };
        let entries =
            Entries::from(&Steering { nat_backends: BTreeSet::from([end]), ..Steering::default() });
        assert_eq!(entries.addresses[addr.octets()], AddressFlags::BACKEND.to_bytes());
        let key: Vec<_> = entries.nat_backends.into_keys().collect();
        let wanted = [addr.octets().as_slice(), &[0x12, 0x34, 6, 0]].concat();
        assert_eq!(key, [wanted.as_slice()]);
    }
}
