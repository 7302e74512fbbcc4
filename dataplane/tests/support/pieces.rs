//! ICMP errors about packets, and datagrams in pieces, made by hand.

use super::packet::*;

pub fn is_v4(packet: &[u8]) -> bool {
    packet[12..14] == [8, 0]
}

fn header_len(packet: &[u8]) -> usize {
    if is_v4(packet) { usize::from(packet[L3] & 15) * 4 } else { 40 }
}

fn sum(bytes: &[u8], start: u64) -> u64 {
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0));
    start + bytes.chunks(2).map(word).sum::<u64>()
}

pub fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The ICMP error with which `router` answers `packet`, which it got from us: the first `quoted` bytes
/// of the IP packet stand in it, and `extension` behind them. `word` is the second word: the MTU.
pub fn error(
    (packet, quoted): (&[u8], usize),
    (router, mac): (&str, [u8; 6]),
    (kind, code, word): (u8, u8, u32),
    extension: &[u8],
) -> Vec<u8> {
    let v4 = is_v4(packet);
    let quote = &packet[L3..(L3 + quoted).min(packet.len())];
    let mut message = vec![kind, code, 0, 0];
    message.extend(word.to_be_bytes());
    message.extend(quote);
    message.extend(extension);
    let mut out = [&packet[6..12], &mac, &packet[12..14]].concat();
    let router = super::world::addr(router);
    if v4 {
        let len = (20 + message.len()) as u16;
        out.extend([0x45, 0xc0]);
        out.extend(len.to_be_bytes());
        out.extend([0x12, 0x34, 0, 0, 64, 1, 0, 0]);
        out.extend(router.v4_octets());
        out.extend(&packet[L3 + 12..L3 + 16]);
        fix_ipv4(&mut out);
    } else {
        out.extend([0x60, 0, 0, 0]);
        out.extend((message.len() as u16).to_be_bytes());
        out.extend([58, 64]);
        out.extend(router.octets());
        out.extend(&packet[L3 + 8..L3 + 24]);
    }
    let pseudo = if v4 { 0 } else { sum(&out[L3 + 8..L3 + 40], 58 + message.len() as u64) };
    let checksum = !fold(sum(&message, pseudo));
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    out.extend(message);
    out
}

/// Cuts a packet into fragments that carry `step` bytes each, a multiple of eight.
pub fn cut(packet: &[u8], step: usize, ident: u32) -> Vec<Vec<u8>> {
    let headers = L3 + header_len(packet);
    let payload = &packet[headers..];
    let parts = payload.chunks(step).enumerate();
    let total = payload.len().div_ceil(step);
    parts.map(|(at, part)| piece(packet, part, (at * step) as u16, at + 1 < total, ident)).collect()
}

/// A fragment with the headers of `packet`.
pub fn piece(packet: &[u8], part: &[u8], offset: u16, more: bool, ident: u32) -> Vec<u8> {
    let headers = L3 + header_len(packet);
    let mut out = packet[..headers].to_vec();
    if is_v4(packet) {
        let len = (headers - L3 + part.len()) as u16;
        out[L3 + 2..L3 + 4].copy_from_slice(&len.to_be_bytes());
        out[L3 + 4..L3 + 6].copy_from_slice(&(ident as u16).to_be_bytes());
        let field = (offset / 8) | if more { 0x2000 } else { 0 };
        out[L3 + 6..L3 + 8].copy_from_slice(&field.to_be_bytes());
        fix_ipv4(&mut out);
    } else {
        let next = std::mem::replace(&mut out[L3 + 6], 44);
        out[L3 + 4..L3 + 6].copy_from_slice(&(8 + part.len() as u16).to_be_bytes());
        out.extend([next, 0]);
        out.extend((offset | u16::from(more)).to_be_bytes());
        out.extend(ident.to_be_bytes());
    }
    out.extend(part);
    out
}

/// What a fragment says: identification, offset, whether more follow, and its part.
pub fn facts(packet: &[u8]) -> (u32, usize, bool, &[u8]) {
    let headers = L3 + header_len(packet);
    if is_v4(packet) {
        let field = u16::from_be_bytes([packet[L3 + 6], packet[L3 + 7]]);
        let ident = u32::from(u16::from_be_bytes([packet[L3 + 4], packet[L3 + 5]]));
        let offset = usize::from(field & 0x1fff) * 8;
        return (ident, offset, field & 0x2000 != 0, &packet[headers..]);
    }
    assert_eq!(packet[L3 + 6], 44, "a fragment header");
    let field = u16::from_be_bytes([packet[headers + 2], packet[headers + 3]]);
    let ident = u32::from_be_bytes(packet[headers + 4..headers + 8].try_into().unwrap());
    (ident, usize::from(field & !7), field & 1 != 0, &packet[headers + 8..])
}

/// Puts fragments, in any order, together to the packet that they were cut from.
pub fn join(pieces: &[Vec<u8>]) -> Vec<u8> {
    let mut pieces: Vec<_> = pieces.iter().collect();
    pieces.sort_by_key(|piece| facts(piece).1);
    let (ident, ..) = facts(pieces[0]);
    let headers = L3 + header_len(pieces[0]);
    let mut whole = pieces[0][..headers].to_vec();
    let mut reached = 0;
    for (at, piece) in pieces.iter().enumerate() {
        let (other, offset, more, part) = facts(piece);
        assert_eq!((other, offset), (ident, reached), "one datagram, without gap or overlap");
        assert_eq!(more, at + 1 < pieces.len());
        assert_eq!(piece[L3 + 12..headers], pieces[0][L3 + 12..headers], "one way");
        reached += part.len();
        whole.extend(part);
    }
    if is_v4(pieces[0]) {
        let len = (whole.len() - L3) as u16;
        whole[L3 + 2..L3 + 4].copy_from_slice(&len.to_be_bytes());
        whole[L3 + 6..L3 + 8].fill(0);
        fix_ipv4(&mut whole);
    } else {
        whole[L3 + 4..L3 + 6].copy_from_slice(&(reached as u16).to_be_bytes());
        whole[L3 + 6] = pieces[0][headers];
    }
    whole
}
