//! Packets of other workers' flows go to their owners before anything else is known of them. Cards
//! spread packets without knowing whose flow they belong to, so with many workers these are most of
//! all packets: they must cost little here, since they are read as a whole where they go.

use arrayvec::ArrayVec;
use zerocopy::FromBytes as _;

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

#[inline(always)]
fn glance<'a>(tables: &'a Tables, bytes: &[u8]) -> Whose<'a> {
    let Some((to, [src, dst])) = ends(bytes) else { return Whose::Unclear };
    let Some(owned) = tables.addresses.get(&to.addr) else { return Whose::NotOurs };
    let is_service = match (owned.vip, owned.snat) {
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (Some(_), Some(_)) => {
            let key = FrontendKey { addr: to.addr, port: dst, proto: to.proto };
            tables.frontends.contains(&key)
        }
        (None, None) => return Whose::Unclear,
    };
    Whose::Clear(owned, if is_service { src } else { dst })
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy)]
struct To {
    addr: Addr,
    proto: Proto,
}

/// Where a packet goes, and its ports: source, destination.
#[inline(always)]
fn ends(bytes: &[u8]) -> Option<(To, [L4Port; 2])> {
    let (link, rest) = eth::Eth::ref_from_prefix(bytes).ok()?;
    match link.ethertype.get() {
        eth::IPV4 => {
            let (ip, rest) = ipv4::Ipv4::ref_from_prefix(rest).ok()?;
            let whole = ip.fragment.get() & (ipv4::MF | ipv4::OFFSET) == 0;
            let plain = whole && ip.version_ihl == 0x45;
            let addr = Addr::v4(ip.dst);
            let to = To { addr, proto: proto(ip.proto).filter(|_| plain)? };
            Some((to, ports(rest)?))
        }
        eth::IPV6 => {
            let (ip, rest) = ipv6::Ipv6::ref_from_prefix(rest).ok()?;
            let to = To { addr: Addr::v6(ip.dst), proto: proto(ip.next_header)? };
            Some((to, ports(rest)?))
        }
        _ => None,
    }
}

#[inline(always)]
const fn proto(number: u8) -> Option<Proto> {
    match number {
        TCP => Some(Proto::Tcp),
        UDP => Some(Proto::Udp),
        _ => None,
    }
}

#[inline(always)]
fn ports(l4: &[u8]) -> Option<[L4Port; 2]> {
    let [a, b, c, d] = *l4.first_chunk()?;
    Some([u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])])
}
