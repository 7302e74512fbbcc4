/// A counter of the program. Each frame counts once by outcome and once by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Verdict {
    /// Outcome: not ours, left to the kernel.
    Passed,
    /// Outcome: given to a socket.
    Redirected,
    /// Outcome: ours alone, but no socket was there.
    DroppedNoSocket,
    /// Outcome: ours, but no socket was there and the kernel can serve it.
    PassedNoSocket,
    /// Cause: ARP about an address that is wholly ours.
    Arp,
    /// Cause: multicast neighbour discovery about an address that is wholly ours.
    Ndp,
    /// Cause: IP to an address that is wholly ours.
    Owned,
    /// Cause: IP to a port range of ours on a shared address.
    PortRange,
    /// Cause: ICMP error about a packet sent from a port of ours on a shared address.
    IcmpError,
    /// Cause: later fragment of a datagram to a port of ours on a shared address.
    Fragment,
    /// Cause: reply of a backend in mode `nat`.
    NatReply,
    /// Cause: ICMP error about a packet to a backend in mode `nat`.
    NatIcmpError,
    /// Cause: later fragment from a backend in mode `nat`.
    NatFragment,
    /// Cause: source and destination are covered by an egress policy.
    Egress,
    /// Cause of passing: to an address of the host, and not to a port of ours.
    Host,
    /// Cause of passing: later fragment to a shared address, of no known datagram.
    UnknownFragment,
    /// Cause of passing: anything else.
    Other,
}

impl Verdict {
    /// Number of counters.
    pub const COUNT: usize = Self::ALL.len();

    /// Every counter, in the order of the map.
    pub const ALL: [Self; 17] = [
        Self::Passed,
        Self::Redirected,
        Self::DroppedNoSocket,
        Self::PassedNoSocket,
        Self::Arp,
        Self::Ndp,
        Self::Owned,
        Self::PortRange,
        Self::IcmpError,
        Self::Fragment,
        Self::NatReply,
        Self::NatIcmpError,
        Self::NatFragment,
        Self::Egress,
        Self::Host,
        Self::UnknownFragment,
        Self::Other,
    ];

    /// The word for metrics, logs and documentation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Redirected => "redirected",
            Self::DroppedNoSocket => "dropped_no_socket",
            Self::PassedNoSocket => "passed_no_socket",
            Self::Arp => "arp",
            Self::Ndp => "ndp",
            Self::Owned => "owned",
            Self::PortRange => "port_range",
            Self::IcmpError => "icmp_error",
            Self::Fragment => "fragment",
            Self::NatReply => "nat_reply",
            Self::NatIcmpError => "nat_icmp_error",
            Self::NatFragment => "nat_fragment",
            Self::Egress => "egress",
            Self::Host => "host",
            Self::UnknownFragment => "unknown_fragment",
            Self::Other => "other",
        }
    }
}

const _: () = {
    let mut at = 0;
    while at < Verdict::COUNT {
        assert!(Verdict::ALL[at] as usize == at, "ALL is in the order of the map");
        at += 1;
    }
};
