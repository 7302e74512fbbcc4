use dataplane::drop_reason::DropReason;

/// What there is to do when a service refuses because all of its backends have failed.
pub const CHECKS_FAILED: &str = "all backends fail their health checks, and `panic = false` has the service refuse then: `portreeve services` shows why each fails";

/// What an operator can do about packets that end for this reason.
#[must_use]
pub const fn advice(reason: DropReason) -> &'static str {
    use DropReason as R;
    match reason {
        R::Truncated | R::Malformed | R::BadHeaderChecksum | R::BadChecksum => {
            "look at the sender: no correct one sends this"
        }
        R::UnknownEthertype | R::NotOurs => {
            "nothing here serves it: check the destination, or add a service for it"
        }
        R::ExtensionHeaders => "have the sender use fewer IPv6 extension headers",
        R::ChainTooLong => "lower the MTU of the port: the packet spans too many frames",
        R::UnknownProtocol | R::IcmpOther => {
            "services are TCP and UDP; of ICMP, pings are answered: use one of these"
        }
        R::UnknownPort => {
            "no service has this port: see `portreeve services`; add the port to the service's `ports`, or use one of them"
        }
        R::NoBackend => {
            "add a backend, or give one a weight above 0: `portreeve services` shows all of them"
        }
        R::Removed => "service or backend were removed: the client has to connect anew",
        R::Fragment => "send less at once: only TCP and UDP are taken in pieces",
        R::BadFragment => "look at the sender: no correct one cuts a datagram like this",
        R::FragmentsFull | R::FragmentExpired => {
            "first fragments are lost on the way, or somebody sends the others alone: have the sender send smaller datagrams"
        }
        R::IcmpError => "the error is about no connection that is known here",
        R::TtlExceeded => "the packet has passed too many routers, or is a traceroute",
        R::TooBig => {
            "send smaller packets, or raise the MTU of the way out (port, route) to that of the way in"
        }
        R::NoFlow => "the connection is not known here: the client has to connect anew",
        R::FirstSyn => {
            "under a flood of SYNs each has to come twice: clients send it again by themselves"
        }
        R::ReplyUnknown => {
            "no connection has this source port (any more): `portreeve flows` shows those that are"
        }
        R::ReplyAmbiguous => {
            "give services in mode nat that share backends different backend ports"
        }
        R::SourceDenied => "the service's `allow` and `deny` keep this client out",
        R::HandoverFull | R::HandedOverTwice => {
            "a worker cannot keep up, or tables are changing: `portreeve status` shows each worker"
        }
        R::FlowTableFull => "raise `flows` in [worker]",
        R::PortsExhausted => "add an address to snat.addresses or the service's snat_addresses",
        R::NoSnatAddress => {
            "name one of this family in snat.addresses, or give the out-port a global address"
        }
        R::NoRoute => "add a route that leaves through a [[port]]: `ip route get ADDRESS` shows it",
        R::HopUnresolved | R::WaitingFull => {
            "the next hop answers no ARP or NDP: is it up, on this link, with this address? `ip neigh` shows it"
        }
        R::TxFull | R::NoFrame => "raise `ring` and `frames` in [worker]",
        R::NotAnnounced => "this VIP is not announced on this port: see `announce` of its services",
        R::LeaseExpired => {
            "the address's lease is not renewed, so that another gateway can take it: is the API server within reach?"
        }
        R::NeighbourOther => "the message asks for nothing",
        R::NeighbourLimited => "somebody asks for addresses at a great rate: find out who",
        R::OtherHost => "the frame is for another station: a switch floods",
    }
}
