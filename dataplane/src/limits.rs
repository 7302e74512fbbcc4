//! Limits of the packet path, in one place.

/// Packets taken from a ring in one go.
pub const BURST: usize = 64;
/// Frames that one packet may span; 4 frames of 3 840 B carry an MTU of 15 346.
pub const CHAIN_MAX: usize = 4;
/// Ports (network interfaces) that one process drives.
pub const PORTS_MAX: usize = 32;
/// Next hops whose use is counted.
pub const HOPS_MAX: usize = 8192;
/// IPv6 extension headers walked before a packet is refused (design section 4).
pub const EXTENSION_HEADERS_MAX: usize = 8;
/// Ports of a SNAT address are handed out in blocks of this many.
pub const PORT_BLOCK: u16 = 64;
/// Frames that may wait for one unresolved next hop: a gateway that takes over a client with 20 000 packets
/// a second does not know its MAC, and the kernel takes a millisecond or two to ask.
pub const WAITING_PER_HOP: usize = 64;
/// Frames that may wait for all unresolved next hops of one worker together.
pub const WAITING_MAX: usize = 256;
/// Time a frame waits for its next hop, in milliseconds.
pub const WAITING_MS: u32 = 1_000;
/// The kernel is asked for a next hop again after this many milliseconds while packets wait.
pub const ASK_AGAIN_MS: u32 = 500;
/// Questions per second about next hops for which no frame can wait.
pub const QUESTIONS_PER_SECOND: u32 = 100;
/// Refusals (RST, unreachable, too-big, time exceeded) per second and worker.
pub const REFUSALS_PER_SECOND: u32 = 1_000;
/// ARP and NDP answers per second and worker: many more, since after a takeover a whole link asks
/// at once.
pub const NEIGHBOUR_ANSWERS_PER_SECOND: u32 = 10_000;
/// Claims of addresses of ours that a worker tells control of in a second.
pub const CLAIMS_PER_SECOND: u32 = 100;
/// Datagrams in pieces that a worker knows the ports of, a multiple of [`FRAGMENT_WAYS`].
pub const FRAGMENTED_MAX: usize = 4_096;
/// Of those, how many may have the same hash.
pub const FRAGMENT_WAYS: usize = 4;
/// Time for which the ports of a datagram in pieces are known, in milliseconds.
pub const FRAGMENT_KNOWN_MS: u32 = 2_000;
/// Chunks of fragments that may wait, in all, for the first fragment of their datagrams.
pub const FRAGMENTS_HELD_MAX: usize = 256;
/// Time a fragment waits for the first one of its datagram, in milliseconds.
pub const FRAGMENT_HELD_MS: u32 = 1_000;
/// The same for one that is not addressed to us, in milliseconds: it goes on alone then.
pub const FRAGMENT_PASSING_MS: u32 = 10;
/// Gaps that the fragments of one datagram may leave between them as they come in.
pub const FRAGMENT_GAPS: usize = 16;
/// Flow entries that the expiry sweep looks at after each burst.
pub const SWEEP_STEP: usize = 32;

const _: () = assert!(WAITING_PER_HOP <= WAITING_MAX);
const _: () = assert!(PORTS_MAX <= u32::BITS as usize, "PortMask is a u32");
const _: () = assert!(FRAGMENTED_MAX.is_multiple_of(FRAGMENT_WAYS));
