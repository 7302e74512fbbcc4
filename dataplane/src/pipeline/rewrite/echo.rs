use zerocopy::FromBytes;

use super::super::packet::Ip;
use super::icmp_error::pseudo;
use super::{Link, trim};
use crate::addr::Family;
use crate::drop_reason::DropReason;
use crate::wire::icmp::{v4, v6};
use crate::wire::{checksum, ipv4, ipv6};
use crate::xsk::View;

/// Turns a ping into its answer (RFC 792, RFC 4443 section 4.2), options and data included.
///
/// # Errors
/// [`DropReason::BadChecksum`].
pub(super) fn answer(view: &mut View<'_>, link: Link, ip: &Ip) -> Result<(), DropReason> {
    trim(view, ip);
    verify(view, ip)?;
    let (request, reply) = match ip.family() {
        Family::V4 => (v4::ECHO_REQUEST, v4::ECHO_REPLY),
        Family::V6 => (v6::ECHO_REQUEST, v6::ECHO_REPLY),
    };
    let bytes = view.bytes_mut();
    link.write(bytes);
    swap_addresses(bytes, ip);
    let mut delta = checksum::Delta::default();
    delta.word(u16::from_be_bytes([request, 0]), u16::from_be_bytes([reply, 0]));
    let at = ip.l4() + 2;
    let old = u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    bytes[ip.l4()] = reply;
    bytes[at..at + 2].copy_from_slice(&delta.apply(old).to_be_bytes());
    Ok(())
}

/// We are the end of this packet, so its checksum is ours to check.
pub(super) fn verify(view: &View<'_>, ip: &Ip) -> Result<(), DropReason> {
    let len = usize::from(ip.l4_len());
    let mut sum = checksum::Chained::from(pseudo(ip.family(), &ip.src, &ip.dst, len));
    let bytes = view.bytes();
    let end = bytes.len().min(ip.l3() + usize::from(ip.len));
    sum.add(&bytes[ip.l4()..end]);
    for tail in view.tails() {
        sum.add(tail);
    }
    if sum.fold() == 0xffff { Ok(()) } else { Err(DropReason::BadChecksum) }
}

fn swap_addresses(bytes: &mut [u8], ip: &Ip) {
    match ip.family() {
        Family::V4 => {
            if let Ok((header, _)) = ipv4::Ipv4::mut_from_prefix(&mut bytes[ip.l3()..]) {
                (header.src, header.dst) = (header.dst, header.src);
                header.ttl = ipv4::DEFAULT_TTL;
            }
            ipv4::finish_header(&mut bytes[ip.l3()..ip.l4()]);
        }
        Family::V6 => {
            if let Ok((header, _)) = ipv6::Ipv6::mut_from_prefix(&mut bytes[ip.l3()..]) {
                (header.src, header.dst) = (header.dst, header.src);
                header.hop_limit = ipv4::DEFAULT_TTL;
            }
        }
    }
}
