use std::collections::BTreeMap;

use dataplane::addr::Addr;

/// Addresses that are apart from the rule; all others are announced, steered to us and open.
pub type Apart = BTreeMap<Addr, AddressState>;

/// What holds for an address of ours: VIP, source address or router address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AddressState {
    /// ARP and NDP are answered for it where its service says so.
    pub announced: bool,
    /// Packets to it are taken from the kernel.
    pub steered: bool,
    /// Its services get new flows.
    pub open: bool,
}

impl Default for AddressState {
    fn default() -> Self {
        Self { announced: true, steered: true, open: true }
    }
}
