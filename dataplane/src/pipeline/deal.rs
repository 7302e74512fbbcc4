//! Packets of other workers' flows go to their owners before anything else is known of them. Cards
//! spread packets without knowing whose flow they belong to, so with many workers these are most of
//! all packets: they must cost little here, since they are read as a whole where they go.

use arrayvec::ArrayVec;
use zerocopy::byteorder::network_endian::U16;
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

use super::context::{Ctx, Memory};
use super::parse::{AHEAD, TCP, UDP};
use super::tap::Off;
use super::tx::Tx;
use crate::addr::{Addr, Class, L4Port, Proto};
use crate::limits::BURST;
use crate::tables::frontend::FrontendKey;
use crate::tables::{Owned, Tables};
use crate::wire::{eth, ipv4, ipv6};
use crate::xsk::socket::Burst;
use crate::xsk::{Socket, Umem};

/// What the addresses that packets go to are to us, as far as [`deal`] has seen that a packet is this
/// worker's: by packet of the burst, or empty.
pub type Known<'a> = ArrayVec<Option<&'a Owned>, BURST>;

/// The owner of each packet of a burst, when it is another worker.
type Owners = ArrayVec<Option<Class>, BURST>;

/// Hands over what clearly is another worker's. The rest is left, in its order: in `burst` when nothing
/// was handed over, else in `own`. Of what is not clear, [`super::classify`] says later whose it is: from
/// the first such packet of a burst on nothing is handed over here, since it would overtake what may be
/// of the same flow.
pub fn deal<'a, S: Socket>(
    ctx: &Ctx<'a>,
    memory: &mut Memory<'_>,
    (burst, own): (&mut Burst, &mut Burst),
    known: &mut Known<'a>,
    tx: &mut Tx<'_, S, Off>,
) {
    let mut owners = Owners::new();
    look(ctx, memory.umem, burst, (&mut owners, known));
    if known.len() == burst.len() {
        return;
    }
    let (mut packets, mut bytes) = (0, 0);
    for (frame, owner) in burst.drain(..).zip(owners) {
        match owner {
            Some(owner) => {
                packets += 1;
                bytes += frame.total_len() as u64;
                tx.hand_over(ctx, memory, frame, owner);
            }
            None => own.push(frame),
        }
    }
    // Now, not at the end of the turn: the other has the burst's own packets' time to fetch these.
    memory.peers.publish();
    ctx.counters.received(ctx.port, false, packets, bytes);
}

/// Who owns each packet, when it is another worker; and what is known of the others.
#[inline(always)]
fn look<'a>(
    ctx: &Ctx<'a>,
    umem: &Umem,
    burst: &mut Burst,
    (owners, known): (&mut Owners, &mut Known<'a>),
) {
    for frame in burst.iter().take(AHEAD) {
        umem.prefetch(frame);
    }
    let mut in_order = true;
    for at in 0..burst.len() {
        if let Some(frame) = burst.get(at + AHEAD) {
            umem.prefetch(frame);
        }
        let (owned, elsewhere) = match glance(ctx.tables, umem.view(&mut burst[at]).bytes()) {
            Whose::Clear(owned, port) => (Some(owned), ctx.share.elsewhere(port)),
            Whose::NotOurs => (None, None),
            Whose::Unclear => {
                in_order = false;
                (None, None)
            }
        };
        if elsewhere.is_some() && in_order {
            owners.push(elsewhere);
        } else {
            owners.push(None);
            known.push(owned.filter(|_| elsewhere.is_none()));
        }
    }
}

/// What a glance says of a packet.
#[derive(Debug)]
enum Whose<'a> {
    /// It is TCP or UDP to an address of ours: what that address is, and the port that is the client's
    /// or stands for it, host order. Nothing is checked: who owns the packet does that.
    Clear(&'a Owned, L4Port),
    /// It is TCP or UDP to no address of ours.
    NotOurs,
    /// It has to be read.
    Unclear,
}

/// The headers of a packet whose every byte is where most packets have it: one look at the length is
/// enough for all of them.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Front<Ip> {
    link: eth::Eth,
    ip: Ip,
    ports: Ports,
}

/// The beginning of TCP and of UDP.
#[derive(FromBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Ports {
    src: U16,
    dst: U16,
}

#[inline(always)]
fn glance<'a>(tables: &'a Tables, bytes: &[u8]) -> Whose<'a> {
    let Ok((front, _)) = Front::<ipv4::Ipv4>::ref_from_prefix(bytes) else { return Whose::Unclear };
    match front.link.ethertype.get() {
        eth::IPV4 if is_plain(&front.ip) => {
            whose(tables, Addr::v4(front.ip.dst), front.ip.proto, &front.ports)
        }
        eth::IPV6 => match Front::<ipv6::Ipv6>::ref_from_prefix(bytes) {
            Ok((front, _)) => {
                whose(tables, Addr::v6(front.ip.dst), front.ip.next_header, &front.ports)
            }
            Err(_) => Whose::Unclear,
        },
        _ => Whose::Unclear,
    }
}

/// Whether a packet has no options, and is no fragment.
#[inline(always)]
const fn is_plain(ip: &ipv4::Ipv4) -> bool {
    ip.version_ihl == 0x45 && ip.fragment.get() & (ipv4::MF | ipv4::OFFSET) == 0
}

#[inline(always)]
fn whose<'a>(tables: &'a Tables, addr: Addr, proto: u8, ports: &Ports) -> Whose<'a> {
    if proto != TCP && proto != UDP {
        return Whose::Unclear;
    }
    let Some(owned) = tables.addresses.get(&addr) else { return Whose::NotOurs };
    let is_service = match (owned.vip, owned.snat) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (Some(_), Some(_)) => {
            let proto = if proto == TCP { Proto::Tcp } else { Proto::Udp };
            tables.frontends.contains(&FrontendKey { addr, port: ports.dst.get(), proto })
        }
        (None, None) => return Whose::Unclear,
    };
    Whose::Clear(owned, if is_service { ports.src.get() } else { ports.dst.get() })
}
