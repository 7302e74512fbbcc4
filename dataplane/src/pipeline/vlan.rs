//! 802.1Q. Between the edges every frame is untagged: a tag is taken out when a frame is read and put in
//! when one leaves, so that no step in between knows of it (docs/decisions/0017).

use arrayvec::ArrayVec;
use zerocopy::FromBytes as _;

use super::Ctx;
use super::parse;
use super::{Memory, Packets};
use crate::tables::PortId;
use crate::wire::eth;
use crate::xsk::{Frame, View};

/// Where a tag lies: behind both MACs.
const AT: usize = 12;
/// Bytes in which all headers that are read lie, and more than a frame is padded to.
const HEADERS: usize = 512;

/// Reads a frame with a tag, and takes that out. The VLAN stands in the packet; priority tags, of
/// VLAN 0, belong to none (IEEE 802.1Q clause 9.6), and priorities end here.
#[cold]
#[inline(never)]
pub(super) fn read(view: &mut View<'_>, total: usize, packets: &mut Packets) {
    let Some(vlan) = vlan(view.bytes()) else { return parse::unreadable(view.bytes(), packets) };
    let len = view.bytes().len();
    view.bytes_mut().copy_within(AT + eth::TAG_LEN..len, AT);
    view.set_len(len - eth::TAG_LEN);
    parse::read(view.bytes(), total - eth::TAG_LEN, packets);
    if let Some(packet) = packets.last_mut() {
        packet.vlan = vlan;
    }
}

/// The same without a change of the frame, for who only wants to know: its headers are copied.
#[cold]
#[inline(never)]
pub(super) fn read_copy(bytes: &[u8], total: usize, packets: &mut Packets) {
    let Some(vlan) = vlan(bytes) else { return parse::unreadable(bytes, packets) };
    let copy: ArrayVec<u8, HEADERS> =
        bytes[..AT].iter().chain(&bytes[AT + eth::TAG_LEN..]).take(HEADERS).copied().collect();
    parse::read(&copy, total - eth::TAG_LEN, packets);
    if let Some(packet) = packets.last_mut() {
        packet.vlan = vlan;
    }
}

/// The number of the VLAN, when there is one whole tag.
fn vlan(bytes: &[u8]) -> Option<u16> {
    let (tag, _) = eth::Tag::read_from_prefix(bytes.get(AT..)?).ok()?;
    (tag.inner.get() != eth::VLAN).then_some(tag.tci.get() & eth::VLAN_ID)
}

/// Puts the tag of a VLAN into a frame that has none. Returns whether there was room.
#[must_use]
pub(super) fn insert(memory: &Memory<'_>, frame: &mut Frame, vlan: u16) -> bool {
    memory.umem.insert(frame, AT, tag(vlan))
}

/// The bytes of a tag.
#[must_use]
pub fn tag(vlan: u16) -> [u8; eth::TAG_LEN] {
    let ([a, b], [c, d]) = (eth::VLAN.to_be_bytes(), vlan.to_be_bytes());
    [a, b, c, d]
}

/// The packet at hand came in through `port` with this tag, or with none: it is one of the VLAN's port.
#[cold]
#[inline(never)]
pub(super) fn enter(ctx: &mut Ctx<'_>, port: PortId, vlan: u16) {
    ctx.vlan = vlan;
    ctx.port = ctx.tables.arrived(port, vlan);
}
