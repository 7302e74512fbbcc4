use super::packet::Ip;
use crate::addr::{Addr, L4Port};
use crate::drop_reason::DropReason;
use crate::tables::Hop;

/// New addresses and ports of a packet that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translate {
    /// New source.
    pub src: (Addr, L4Port),
    /// New destination.
    pub dst: (Addr, L4Port),
    /// Where it goes next.
    pub next: Hop,
}

/// How the sender of a packet that ends here is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// TCP RST (RFC 9293 section 3.10.7.1).
    Reset,
    /// Destination unreachable, no such port, from the address that was asked.
    PortUnreachable,
    /// Time exceeded, from our port's own address.
    TimeExceeded {
        /// The in-port's address.
        from: Addr,
    },
    /// Fragmentation needed, or packet too big.
    TooBig {
        /// The address that was asked; of what is only routed, the in-port's address.
        from: Addr,
        /// Largest IP packet that would have gone on, in bytes.
        mtu: u16,
    },
}

/// What shall happen to one packet. It is written in place and read in place: copying it costs more
/// than most steps. The tag is a whole word, so that the compiler moves what stands behind it in words,
/// too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u64)]
#[must_use = "a plan that is not carried out is a lost packet"]
pub enum Plan<'a> {
    /// Nothing is decided yet.
    #[default]
    Undecided,
    /// It goes on with new addresses.
    Translate(&'a Ip, Translate),
    /// It goes on with new addresses, cut into fragments of at most so many bytes.
    Fragment(&'a Ip, Translate, u16),
    /// It goes on with new addresses, and announces at most this MSS (bytes) from now on.
    Clamp(&'a Ip, Translate, u16),
    /// It goes on as it is, but for MACs and TTL.
    Route(&'a Ip, Hop),
    /// It asked for an IPv4 address of ours.
    AnswerArp(&'a super::packet::Arp),
    /// It asked for an IPv6 address of ours.
    AnswerSolicitation(&'a Ip, &'a Addr),
    /// It is a ping of an address of ours.
    AnswerEcho(&'a Ip),
    /// It ends here, and its sender is told.
    Refuse(&'a Ip, DropReason, Refusal),
    /// Its connection ends here: the sender gets RST, and so does the other end.
    ResetBoth(&'a Ip, DropReason, Translate),
}

/// What became of a packet; its frame now holds what is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the frame has to go where its fate says"]
pub enum Fate<'a> {
    /// Handed on between client and backend.
    Forward(&'a Hop),
    /// Handed on in pieces, which lie in [`super::Memory::extra`]; the frame itself is done.
    Split,
    /// The answer to a question, back where it came from.
    Reply,
    /// The answer to who asked for this address of ours, if it may still be announced.
    Advertise(&'a Addr),
    /// Ended for this reason; the frame tells the sender.
    Refuse(DropReason),
}
