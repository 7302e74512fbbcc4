use portreeve_dataplane::addr::{Addr, Family};
use portreeve_dataplane::pipeline::packet::{Body, Ip, Upper};
use portreeve_dataplane::pipeline::parse::parse;

/// Where an Ethernet frame without a tag has its IP header.
const L3: usize = 14;

/// Writes the checksums that a decent sender would have written, where there is a place for them.
pub fn finish(frame: &mut [u8]) {
    if frame.get(12..14) == Some(&[8, 0]) {
        finish_ipv4_header(frame);
    }
    if let Some(ip) = icmp(frame) {
        return finish_icmp(frame, &ip);
    }
    let Some((ip, field)) = transport(frame) else { return };
    let end = ip.l3() + usize::from(ip.len);
    frame[field..field + 2].fill(0);
    let sum = !fold(pseudo(&ip, ip.l4() - ip.l3()) + sum(&frame[ip.l4()..end]));
    let sum = if sum == 0 { 0xffff } else { sum };
    frame[field..field + 2].copy_from_slice(&sum.to_be_bytes());
}

/// Whether the TCP or UDP checksum is right; true for everything that has none.
pub fn is_right(frame: &[u8]) -> bool {
    transport(frame).is_none_or(|(ip, field)| {
        let end = ip.l3() + usize::from(ip.len);
        let none =
            ip.dst.family() == Family::V4 && frame[field..field + 2] == [0, 0] && is_udp(&ip);
        none || fold(pseudo(&ip, ip.l4() - ip.l3()) + sum(&frame[ip.l4()..end])) == 0xffff
    })
}

/// A whole ICMP message.
fn icmp(frame: &[u8]) -> Option<Ip> {
    let Body::Ip(ip) = parse(frame, frame.len()).body else { return None };
    let end = ip.l3() + usize::from(ip.len);
    let whole = matches!(ip.upper, Upper::Icmp { .. }) && frame.len() >= end;
    (whole && end >= ip.l4() + 8).then_some(ip)
}

fn finish_icmp(frame: &mut [u8], ip: &Ip) {
    let end = ip.l3() + usize::from(ip.len);
    let field = ip.l4() + 2;
    frame[field..field + 2].fill(0);
    let pseudo = match ip.dst.family() {
        Family::V4 => 0,
        Family::V6 => sum(ip.src.octets()) + sum(ip.dst.octets()) + 58 + (end - ip.l4()) as u64,
    };
    let checksum = !fold(pseudo + sum(&frame[ip.l4()..end]));
    frame[field..field + 2].copy_from_slice(&checksum.to_be_bytes());
}

fn finish_ipv4_header(frame: &mut [u8]) {
    let header_len = usize::from(frame.get(L3).map_or(0, |byte| byte & 15)) * 4;
    let Some(header) = frame.get_mut(L3..L3 + header_len).filter(|header| header.len() >= 20)
    else {
        return;
    };
    header[10..12].fill(0);
    let sum = !fold(sum(header));
    header[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// An unfragmented TCP or UDP packet, and where its checksum stands.
fn transport(frame: &[u8]) -> Option<(Ip, usize)> {
    let Body::Ip(ip) = parse(frame, frame.len()).body else { return None };
    let Upper::Transport(_) = ip.upper else { return None };
    let field = ip.l4() + if is_udp(&ip) { 6 } else { 16 };
    (frame.len() >= ip.l3() + usize::from(ip.len)).then_some((ip, field))
}

fn is_udp(ip: &Ip) -> bool {
    matches!(ip.upper, Upper::Transport(transport) if transport.proto as u8 == 17)
}

fn pseudo(ip: &Ip, header_len: usize) -> u64 {
    let octets = |addr: &Addr| match addr.family() {
        Family::V4 => sum(&addr.v4_octets()),
        Family::V6 => sum(addr.octets()),
    };
    let proto = if is_udp(ip) { 17 } else { 6 };
    octets(&ip.src) + octets(&ip.dst) + proto + u64::from(ip.len) - header_len as u64
}

fn sum(bytes: &[u8]) -> u64 {
    let word = |pair: &[u8]| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
    bytes.chunks(2).map(|pair| u64::from(word(pair))).sum()
}

fn fold(mut sum: u64) -> u16 {
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
