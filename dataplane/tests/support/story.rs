//! A connection begun, for stories that go on from there.

use super::packet::*;
use super::world::*;

/// Opens a TCP connection and returns the SYN as the backend got it.
pub fn open(world: &mut World, client: End<'_>, vip: &str) -> Seen {
    let sent = world.send(0, &tcp(0, client, (vip, 80), "S", b""));
    let [(1, packet)] = &sent[..] else { panic!("one packet to the backends: {sent:?}") };
    read(packet)
}

pub fn tcp_of(seen: &Seen) -> (u16, u16, &str) {
    let What::Tcp { src, dst, flags, .. } = &seen.what else { panic!("TCP: {seen:?}") };
    (*src, *dst, flags)
}

/// The text of a backend address, as the builder wants it.
pub fn text(seen: portreeve_dataplane::addr::Addr) -> String {
    seen.to_string()
}
