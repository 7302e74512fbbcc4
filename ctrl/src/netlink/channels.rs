//! How many receive queues an interface has in use: ethtool's netlink family, because sysfs
//! shows the network namespace of whoever mounted it and `IFLA_NUM_RX_QUEUES` is the maximum.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use rtnetlink::sys::protocols::NETLINK_GENERIC;

use super::events::Events;
use super::generic::{Family, Generic, attribute, number};
use super::request::Requests;

const ETHTOOL_MSG_CHANNELS_GET: u8 = 17;
const ETHTOOL_A_CHANNELS_HEADER: u16 = 1;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_CHANNELS_RX_COUNT: u16 = 6;
const ETHTOOL_A_CHANNELS_COMBINED_COUNT: u16 = 9;

/// Asks ethtool's family.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    pub(super) requests: Requests<Generic>,
    pub(super) family: Family,
}

impl Channels {
    /// Fails on kernels without `CONFIG_ETHTOOL_NETLINK`.
    pub(super) async fn open() -> Result<Self> {
        let requests = Requests::open(NETLINK_GENERIC)?;
        let family = Family::resolve(&requests, "ethtool").await?;
        Ok(Self { requests, family })
    }

    /// Receive queues by interface index, of the interfaces whose driver tells.
    pub(super) async fn dump(&self) -> Result<BTreeMap<u32, u32>> {
        let question = Generic {
            family: self.family.id,
            command: ETHTOOL_MSG_CHANNELS_GET,
            attributes: Vec::new(),
        };
        let answers = self.requests.dump(question).await.context("list ethtool channels")?;
        Ok(answers.iter().filter_map(|answer| rx_queues(&answer.attributes)).collect())
    }

    /// Tells of changes that are made through ethtool, queue counts among them.
    pub(super) fn subscribe(&self, buffer: usize) -> Result<Events> {
        let group = self.family.group("monitor").context("ethtool has no monitor group")?;
        Events::subscribe(NETLINK_GENERIC, &[group], buffer)
    }
}

fn rx_queues(channels: &[u8]) -> Option<(u32, u32)> {
    let header = attribute(channels, ETHTOOL_A_CHANNELS_HEADER)?;
    let ifindex = number(header, ETHTOOL_A_HEADER_DEV_INDEX)?;
    // A combined channel has a receive queue; drivers count either way, or both.
    let rx = number(channels, ETHTOOL_A_CHANNELS_RX_COUNT).unwrap_or(0);
    let combined = number(channels, ETHTOOL_A_CHANNELS_COMBINED_COUNT).unwrap_or(0);
    Some((ifindex, rx + combined))
}
