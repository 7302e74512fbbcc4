//! What only a look at the host for its troubles asks of a link: carrier, XDP programs, rings,
//! offloads. `Netlink` follows none of it.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp};
use rtnetlink::packet_core::parse_string;
use rtnetlink::sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};

use super::generic::{Family, Generic, attribute, attributes, number};
use super::link;
use super::request::Requests;

const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_RINGS_GET: u8 = 15;
/// The header is the first attribute of every message of the family.
const HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_RINGS_RX_MAX: u16 = 2;
const ETHTOOL_A_RINGS_RX: u16 = 6;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;

/// A link, looked at closely.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Something is plugged in at the other end.
    pub carrier: bool,
    /// The kind of a virtual interface ("veth", ...).
    pub kind: Option<String>,
    /// The kernel's numbers of the XDP programs that are attached.
    pub xdp: BTreeSet<u32>,
    /// Slots of the receive ring: in use, at most. `None` when the driver has no say in it.
    pub rx_ring: Option<(u32, u32)>,
    /// Offloads that are on, by the kernel's name ("rx-gro"); empty when the kernel does not tell.
    pub offloads: BTreeSet<String>,
}

/// Every link of this network namespace, by index.
pub async fn details() -> Result<BTreeMap<u32, Details>> {
    let route = Requests::open(NETLINK_ROUTE)?;
    let answers = route.dump(link::question()).await.context("list the links")?;
    let mut all: BTreeMap<u32, Details> = answers
        .into_iter()
        .filter_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(message) => Some((message.header.index, read(&message))),
            _ => None,
        })
        .collect();
    // A kernel without ethtool's netlink family says less.
    if let Ok(ethtool) = Ethtool::open().await {
        for (ifindex, ring) in ethtool.dump(ETHTOOL_MSG_RINGS_GET, ring).await {
            all.entry(ifindex).or_default().rx_ring = Some(ring);
        }
        for (ifindex, active) in ethtool.dump(ETHTOOL_MSG_FEATURES_GET, active).await {
            all.entry(ifindex).or_default().offloads = active;
        }
    }
    Ok(all)
}

fn read(message: &LinkMessage) -> Details {
    let carrier = message.header.flags.contains(LinkFlags::LowerUp);
    let mut details = Details { carrier, ..Details::default() };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::Xdp(parts) => details.xdp.extend(parts.iter().filter_map(program)),
            LinkAttribute::LinkInfo(infos) => {
                details.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    details
}

fn program(part: &LinkXdp) -> Option<u32> {
    match part {
        LinkXdp::ProgId(id)
        | LinkXdp::DrvProgId(id)
        | LinkXdp::SkbProgId(id)
        | LinkXdp::HwProgId(id) => Some(*id).filter(|id| *id != 0),
        _ => None,
    }
}

struct Ethtool {
    requests: Requests<Generic>,
    family: u16,
}

impl Ethtool {
    async fn open() -> Result<Self> {
        let requests = Requests::open(NETLINK_GENERIC)?;
        let family = Family::resolve(&requests, "ethtool").await?.id;
        Ok(Self { requests, family })
    }

    /// What `read` finds in the answer of each link whose driver tells.
    async fn dump<T>(&self, command: u8, read: impl Fn(&[u8]) -> Option<T>) -> Vec<(u32, T)> {
        let question = Generic { family: self.family, command, attributes: Vec::new() };
        let answers = self.requests.dump(question).await.unwrap_or_default();
        let found = answers.iter().filter_map(|answer| {
            let header = attribute(&answer.attributes, HEADER)?;
            let ifindex = number(header, ETHTOOL_A_HEADER_DEV_INDEX)?;
            Some((ifindex, read(&answer.attributes)?))
        });
        found.collect()
    }
}

fn ring(rings: &[u8]) -> Option<(u32, u32)> {
    Some((number(rings, ETHTOOL_A_RINGS_RX)?, number(rings, ETHTOOL_A_RINGS_RX_MAX)?))
}

/// Without a mask, the bits that are listed are those that are set.
fn active(features: &[u8]) -> Option<BTreeSet<String>> {
    let bits = attribute(attribute(features, ETHTOOL_A_FEATURES_ACTIVE)?, ETHTOOL_A_BITSET_BITS)?;
    let names = attributes(bits)
        .filter_map(|(_, bit)| parse_string(attribute(bit, ETHTOOL_A_BITSET_BIT_NAME)?).ok());
    Some(names.collect())
}
