use super::port::PortId;

/// A VLAN on the link of a port that we drive. It is a port itself, with an id, addresses and an MTU
/// of its own, as the kernel's device for it; it has no rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vlan {
    /// Its id as a port.
    pub port: PortId,
    /// The port whose frames carry its tag.
    pub parent: PortId,
    /// Number of the VLAN, 1 to 4094.
    pub id: u16,
}

/// The port that a frame with this tag (0: none) belongs to, which came in through `port`. A VLAN that
/// the kernel has no device for is none of ours: the frame is one of the port itself.
#[cold]
#[inline(never)]
pub(super) fn arrived(vlans: &[Vlan], port: PortId, id: u16) -> PortId {
    vlans.iter().find(|vlan| vlan.parent == port && vlan.id == id).map_or(port, |vlan| vlan.port)
}
