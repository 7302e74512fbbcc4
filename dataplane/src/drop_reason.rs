/// Declares the enum, its names and its descriptions from one list, so that code, metrics and
/// documentation cannot drift apart.
macro_rules! drop_reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet ended here. Each variant is a counter and a metric of the same name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[doc = $doc])+ $variant,)+ }

        impl DropReason {
            /// Every reason, in discriminant order.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The word used in counters, metrics and documents.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// One sentence on what it means and who should care.
            #[must_use]
            pub const fn describe(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc),+),)+ }
            }
        }
    };
}

drop_reasons! {
    /// The frame ends inside a header, or its lengths contradict each other.
    Truncated = "truncated",
    /// An EtherType that we do not handle; steering should have passed it.
    UnknownEthertype = "unknown_ethertype",
    /// A header field has a value that no correct sender writes.
    Malformed = "malformed",
    /// The IPv4 header checksum is wrong.
    BadHeaderChecksum = "bad_header_checksum",
    /// The checksum of a packet that we would answer ourselves is wrong.
    BadChecksum = "bad_checksum",
    /// More IPv6 extension headers than we walk, or one that we do not know.
    ExtensionHeaders = "extension_headers",
    /// A packet that spans more frames than we hold together.
    ChainTooLong = "chain_too_long",
    /// Nothing of ours: steering should have passed it to the kernel.
    NotOurs = "not_ours",
    /// A protocol that no service of the address has.
    UnknownProtocol = "unknown_protocol",
    /// An address of ours has no service on this port; answered when the rate allows.
    UnknownPort = "unknown_port",
    /// The service has no usable backend; answered when the rate allows.
    NoBackend = "no_backend",
    /// The service or backend of this flow was removed; both ends are told.
    Removed = "removed",
    /// A fragment of something without ports, such as a large ping: nothing is put together here.
    Fragment = "fragment",
    /// A fragment that is tiny, repeats or overlaps another, or ends beyond any datagram.
    BadFragment = "bad_fragment",
    /// Too many fragments wait for the first one of their datagrams: the oldest give way.
    FragmentsFull = "fragments_full",
    /// The first fragment of its datagram did not come in time.
    FragmentExpired = "fragment_expired",
    /// An ICMP error that quotes no packet of a flow of ours.
    IcmpError = "icmp_error",
    /// An ICMP message that is neither an echo request nor an error.
    IcmpOther = "icmp_other",
    /// TTL or hop limit ran out; answered when the rate allows.
    TtlExceeded = "ttl_exceeded",
    /// Too big for the way out and not to be fragmented; answered when the rate allows.
    TooBig = "too_big",
    /// A TCP packet in the middle of a connection that we do not know; answered with RST.
    NoFlow = "no_flow",
    /// A SYN that came for the first time while so many come that half-open connections give way before
    /// their handshake can be finished: its client sends it again, a flood does not.
    FirstSyn = "first_syn",
    /// A reply to one of our SNAT addresses that belongs to no flow.
    ReplyUnknown = "reply_unknown",
    /// A backend's packet in mode `nat` that belongs to no flow and could be a reply of several
    /// services; the client's next packet says which.
    ReplyAmbiguous = "reply_ambiguous",
    /// The client's address is not allowed by the service (`allow`, `deny`).
    SourceDenied = "source_denied",
    /// The flow table is full of established flows: raise `flows`.
    FlowTableFull = "flow_table_full",
    /// No SNAT port is free towards this backend: add a SNAT address.
    PortsExhausted = "ports_exhausted",
    /// The service has no SNAT address of this family.
    NoSnatAddress = "no_snat_address",
    /// The kernel's tables have no route to the destination.
    NoRoute = "no_route",
    /// The next hop did not answer ARP or NDP in time.
    HopUnresolved = "hop_unresolved",
    /// Too many packets wait for next hops.
    WaitingFull = "waiting_full",
    /// The tx ring of the way out is full.
    TxFull = "tx_full",
    /// No frame was free for a packet of our own making.
    NoFrame = "no_frame",
    /// ARP or NDP for an address that we do not answer for on this port.
    NotAnnounced = "not_announced",
    /// ARP or NDP for an address whose lease ran out before the answer could leave.
    LeaseExpired = "lease_expired",
    /// An ARP or NDP message that asks for nothing.
    NeighbourOther = "neighbour_other",
    /// More ARP or NDP questions than we answer in a second.
    NeighbourLimited = "neighbour_limited",
    /// The way to the worker that owns the flow is full: it cannot keep up.
    HandoverFull = "handover_full",
    /// Handed over by a worker whose tables said otherwise, in the moment of a change.
    HandedOverTwice = "handed_over_twice",
    /// A frame to another station's MAC: a switch floods, or the port is promiscuous.
    OtherHost = "other_host",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_discriminant_order() {
        for (i, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, i);
        }
    }

    #[test]
    fn names_are_unique() {
        let names: std::collections::HashSet<_> =
            DropReason::ALL.iter().map(|r| r.name()).collect();
        assert_eq!(names.len(), DropReason::COUNT);
    }
}
