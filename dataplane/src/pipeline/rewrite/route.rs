use zerocopy::FromBytes;
use zerocopy::byteorder::network_endian::U16;

use super::super::context::Ctx;
use super::super::packet::Ip;
use super::{Link, trim};
use crate::addr::Family;
use crate::tables::Hop;
use crate::wire::checksum::Delta;
use crate::wire::{ipv4, ipv6};
use crate::xsk::View;

/// Writes MACs and TTL; whatever the packet carries stays as it is (RFC 1812 section 5.2).
pub(super) fn pass_on(ctx: &Ctx<'_>, view: &mut View<'_>, ip: &Ip, next: &Hop) {
    trim(view, ip);
    let link = Link { src: ctx.tables.port(next.port).mac, dst: next.mac().unwrap_or_default() };
    let bytes = view.bytes_mut();
    link.write(bytes);
    let header = &mut bytes[ip.l3()..];
    match ip.family() {
        Family::V4 => {
            if let Ok((ipv4, _)) = ipv4::Ipv4::mut_from_prefix(header) {
                let mut delta = Delta::default();
                delta.ttl();
                ipv4.ttl = ip.ttl - 1;
                ipv4.checksum = U16::new(delta.apply(ipv4.checksum.get()));
            }
        }
        Family::V6 => {
            if let Ok((ipv6, _)) = ipv6::Ipv6::mut_from_prefix(header) {
                ipv6.hop_limit = ip.ttl - 1;
            }
        }
    }
}
