//! Offloads of an interface: ethtool's netlink family, as for the queues.

use anyhow::{Context, Result};
use rtnetlink::packet_core::{DefaultNla, Emitable, parse_string};

use super::channels::Channels;
use super::generic::{Generic, attribute, attributes};

const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const NLA_F_NESTED: u16 = 1 << 15;

/// The card takes the tag out of a frame and tells of it beside the frame, where no XDP program and no
/// AF_XDP socket sees it (`NETIF_F_HW_VLAN_CTAG_RX`; ethtool calls it rxvlan).
const RX_VLAN: &str = "rx-vlan-hw-parse";

impl Channels {
    /// Has the interface leave VLAN tags in the frames that it receives. Returns whether they are left
    /// there now.
    pub(super) async fn keep_vlan_tags(&self, ifindex: u32) -> Result<bool> {
        if !self.takes_tags_out(ifindex).await? {
            return Ok(true);
        }
        // A bit that is named and has no value is to be off.
        let bit = nest(ETHTOOL_A_BITSET_BITS_BIT, &string(ETHTOOL_A_BITSET_BIT_NAME, RX_VLAN));
        let wanted = nest(ETHTOOL_A_FEATURES_WANTED, &nest(ETHTOOL_A_BITSET_BITS, &bit));
        let attributes = [device(ifindex), wanted].concat();
        let command = ETHTOOL_MSG_FEATURES_SET;
        let question = Generic { family: self.family.id, command, attributes };
        self.requests.change(question, 0).await.context("switch the rx VLAN offload off")?;
        Ok(!self.takes_tags_out(ifindex).await?)
    }

    async fn takes_tags_out(&self, ifindex: u32) -> Result<bool> {
        let command = ETHTOOL_MSG_FEATURES_GET;
        let question = Generic { family: self.family.id, command, attributes: device(ifindex) };
        let answer = self.requests.ask(question).await.context("ask for offloads")?;
        Ok(answer.is_some_and(|answer| is_active(&answer.attributes, RX_VLAN)))
    }
}

/// Whether the feature is among those that are on, which are listed by name.
fn is_active(features: &[u8], name: &str) -> bool {
    let active = attribute(features, ETHTOOL_A_FEATURES_ACTIVE);
    let bits = active.and_then(|active| attribute(active, ETHTOOL_A_BITSET_BITS));
    bits.into_iter().flat_map(attributes).any(|(_, bit)| {
        let found = attribute(bit, ETHTOOL_A_BITSET_BIT_NAME);
        found.is_some_and(|found| parse_string(found).is_ok_and(|found| found == name))
    })
}

fn device(ifindex: u32) -> Vec<u8> {
    let index = emit(DefaultNla::new(ETHTOOL_A_HEADER_DEV_INDEX, ifindex.to_ne_bytes().to_vec()));
    nest(ETHTOOL_A_FEATURES_HEADER, &index)
}

fn nest(kind: u16, inner: &[u8]) -> Vec<u8> {
    emit(DefaultNla::new(kind | NLA_F_NESTED, inner.to_vec()))
}

fn string(kind: u16, text: &str) -> Vec<u8> {
    emit(DefaultNla::new(kind, [text.as_bytes(), &[0]].concat()))
}

fn emit(attribute: DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}
