//! 802.1Q. Between the edges every frame is untagged: a tag is taken out when a frame is read and put in
//! when one leaves, so that no step in between knows of it (docs/decisions/0017).

use arrayvec::ArrayVec;
use zerocopy::FromBytes as _;

use super::packet::{Body, Packet};
use super::tap::Tap;
use super::tx::Tx;
use super::{Ctx, Hashes, Memory, Packets, Subjects, classify, fetch, parse, run_packet};
use crate::addr::Mac;
use crate::capture::Watched;
use crate::drop_reason::DropReason;
use crate::limits::BURST;
use crate::wire::eth;
use crate::xsk::socket::Burst;
use crate::xsk::{Frame, Socket, Umem};

/// Where a tag lies: behind both MACs.
const AT: usize = 12;
/// Bytes in which all headers that are read lie, and more than a frame is padded to.
const HEADERS: usize = 512;

/// The VLANs of the packets of a burst. Priority tags, of VLAN 0, belong to none (IEEE 802.1Q clause
/// 9.6), and priorities end here.
type Vlans = ArrayVec<u16, BURST>;

/// Whether a frame that ends since nobody knows its EtherType has a tag, one and whole.
#[cold]
#[inline(never)]
pub(super) fn is_tagged(umem: &Umem, frame: &mut Frame) -> bool {
    vlan(umem.view(frame).bytes()).is_some()
}

/// The frames that were set aside, as a burst of their own.
#[cold]
#[inline(never)]
pub(super) fn run<S: Socket, T: Tap>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    tx: &mut Tx<'_, S, T>,
) {
    let mut burst = std::mem::take(memory.tagged);
    let port = ctx.port;
    let (packets, vlans) = read(memory.umem, &mut burst);
    let subjects: Subjects<'_> = packets
        .iter()
        .zip(&vlans)
        .map(|(packet, vlan)| {
            let port = ctx.tables.arrived(port, *vlan);
            classify::classify(ctx.tables, &ctx.share, port, packet)
        })
        .collect();
    let mut hashes = Hashes::new();
    fetch::burst(ctx.flows, &subjects, &mut hashes);
    let tx: &mut Tx<'_, S, Watched<'_>> = &mut tx.rare();
    let facts = packets.iter().zip(&subjects).zip(&hashes);
    for ((frame, vlan), ((packet, subject), hash)) in burst.drain(..).zip(vlans).zip(facts) {
        // It is a packet of the VLAN's port, and its answer gets the same tag.
        (ctx.port, ctx.vlan) = (ctx.tables.arrived(port, vlan), vlan);
        run_packet(ctx, memory, frame, (packet, subject, *hash), tx);
    }
    (ctx.port, ctx.vlan) = (port, 0);
}

/// Takes the tags out.
fn read(umem: &Umem, burst: &mut Burst) -> (Packets, Vlans) {
    let (mut packets, mut vlans) = (Packets::new(), Vlans::new());
    for frame in burst {
        let (packet, vlan) = untag(umem, frame).unwrap_or_else(unreadable);
        packets.push(packet);
        vlans.push(vlan);
    }
    (packets, vlans)
}

/// Takes the tag out of a frame: what it is without it, and the VLAN. `None` leaves it as it is: there
/// is no tag that we read.
pub(super) fn untag(umem: &Umem, frame: &mut Frame) -> Option<(Packet, u16)> {
    let mut view = umem.view(frame);
    let (total, len) = (view.total_len(), view.bytes().len());
    let read = read_copy(view.bytes(), total)?;
    view.bytes_mut().copy_within(AT + eth::TAG_LEN..len, AT);
    view.set_len(len - eth::TAG_LEN);
    Some(read)
}

/// What a frame with a tag is without it, and the VLAN; `None` when it has no tag that we read. Its
/// headers are copied.
pub(super) fn read_copy(bytes: &[u8], total: usize) -> Option<(Packet, u16)> {
    let vlan = vlan(bytes)?;
    let copy: ArrayVec<u8, HEADERS> =
        bytes[..AT].iter().chain(&bytes[AT + eth::TAG_LEN..]).take(HEADERS).copied().collect();
    Some((parse::parse(&copy, total - eth::TAG_LEN), vlan))
}

/// Nothing that was set aside comes here: it had a tag.
fn unreadable() -> (Packet, u16) {
    let nobody = Mac::default();
    let body = Body::Broken(DropReason::UnknownEthertype);
    (Packet { from: nobody, to: nobody, body }, 0)
}

/// The number of the VLAN, when there is one whole tag.
fn vlan(bytes: &[u8]) -> Option<u16> {
    let (tag, _) = eth::Tag::read_from_prefix(bytes.get(AT..)?).ok()?;
    let one = tag.ethertype.get() == eth::VLAN && tag.inner.get() != eth::VLAN;
    one.then_some(tag.tci.get() & eth::VLAN_ID)
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
