use super::super::context::{Ctx, Memory};
use super::super::packet::Ip;
use crate::drop_reason::DropReason;
use crate::tables::Hop;
use crate::wire::ipv4;
use crate::xsk::Frame;

/// Largest IPv4 header with options, and the Ethernet header before it.
const HEADERS_MAX: usize = 14 + 60;

/// Cuts an IPv4 packet, already translated, into fragments of at most `mtu` bytes (RFC 791
/// section 2.3). They get an identification of their own: two clients behind one source address
/// may use the same one. What is a fragment already has got one, and its pieces go on where it
/// begins. The pieces go to `memory.extra`.
///
/// # Errors
/// [`DropReason::NoFrame`] or [`DropReason::TooBig`] when there are not enough frames, or too
/// many pieces; then none is sent.
pub(super) fn split(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    frame: &mut Frame,
    ip: &Ip,
    (next, mtu): (Hop, u16),
) -> Result<(), DropReason> {
    let own = Own::read(memory.umem.view(frame).bytes(), ip);
    let ident = if own.is_whole() { ctx.idents.fresh() as u16 } else { own.ident };
    let own = Own { ident, ..own };
    let cut = Cut::new(ip, mtu, memory.umem.layout().capacity())?;
    if cut.pieces > memory.extra.remaining_capacity() {
        return Err(DropReason::TooBig);
    }
    if cut.pieces > memory.pool.len() {
        return Err(DropReason::NoFrame);
    }
    for piece in 0..cut.pieces {
        let Some(mut out) = memory.pool.take() else { return Err(DropReason::NoFrame) };
        write_piece(memory, frame, &mut out, &cut, (piece, own));
        memory.extra.push((out, next));
    }
    Ok(())
}

/// What the header of the packet says of fragments.
#[derive(Clone, Copy)]
struct Own {
    ident: u16,
    /// In units of eight bytes.
    offset: u16,
    more: bool,
}

impl Own {
    fn read(bytes: &[u8], ip: &Ip) -> Self {
        let at = ip.l3() + 4;
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let (ident, field) = (word(at), word(at + 2));
        Self { ident, offset: field & ipv4::OFFSET, more: field & ipv4::MF != 0 }
    }

    const fn is_whole(self) -> bool {
        self.offset == 0 && !self.more
    }
}

/// How a packet is cut.
struct Cut {
    l3: usize,
    header: usize,
    payload: usize,
    /// Payload bytes of every piece but the last; a multiple of eight.
    step: usize,
    pieces: usize,
}

impl Cut {
    fn new(ip: &Ip, mtu: u16, capacity: usize) -> Result<Self, DropReason> {
        let header = ip.l4() - ip.l3();
        let room = usize::from(mtu).min(capacity - ip.l3());
        let step = room.saturating_sub(header) / 8 * 8;
        if step == 0 {
            return Err(DropReason::TooBig);
        }
        let payload = usize::from(ip.len) - header;
        Ok(Self { l3: ip.l3(), header, payload, step, pieces: payload.div_ceil(step) })
    }
}

fn write_piece(
    memory: &Memory<'_>,
    whole: &mut Frame,
    out: &mut Frame,
    cut: &Cut,
    (piece, own): (usize, Own),
) {
    let whole = memory.umem.view(whole);
    let mut out = memory.umem.view(out);
    let offset = piece * cut.step;
    let len = cut.step.min(cut.payload - offset);
    let headers = cut.l3 + cut.header;
    debug_assert!(headers <= HEADERS_MAX);
    out.set_len(headers + len);
    let bytes = out.bytes_mut();
    bytes[..headers].copy_from_slice(&whole.bytes()[..headers]);
    whole.copy_out(headers + offset, &mut bytes[headers..]);
    let header = &mut bytes[cut.l3..headers];
    let more = if own.more || offset + len < cut.payload { ipv4::MF } else { 0 };
    let place = own.offset + (offset / 8) as u16;
    header[2..4].copy_from_slice(&((cut.header + len) as u16).to_be_bytes());
    header[4..6].copy_from_slice(&own.ident.to_be_bytes());
    header[6..8].copy_from_slice(&(more | place).to_be_bytes());
    if piece > 0 {
        blank_first_only_options(&mut header[ipv4::LEN..]);
    }
    ipv4::finish_header(header);
}

/// Options without the copied flag stand in the first fragment only (RFC 791 section 3.1).
fn blank_first_only_options(options: &mut [u8]) {
    const END: u8 = 0;
    const NOP: u8 = 1;
    const COPIED: u8 = 0x80;
    let mut at = 0;
    while at < options.len() && options[at] != END {
        if options[at] == NOP {
            at += 1;
            continue;
        }
        let len = options.get(at + 1).map_or(0, |len| usize::from(*len));
        let Some(option) = options.get_mut(at..at + len).filter(|option| option.len() >= 2) else {
            return;
        };
        if option[0] & COPIED == 0 {
            option.fill(NOP);
        }
        at += len;
    }
}
