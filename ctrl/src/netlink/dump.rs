//! Reading the kernel's tables as a whole.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::NETLINK_ROUTE;

use super::channels::Channels;
use super::neighbour::{self, Neighbours};
use super::request::Requests;
use super::{address, link, route};
use crate::topology::{KernelRoute, Link, LinkAddress, VlanLink};

/// Where questions go.
#[derive(Clone, Debug)]
pub(super) struct Kernel {
    /// Links, addresses, routes, neighbours.
    pub(super) route: Requests<RouteNetlinkMessage>,
    /// Queue counts; `None` on kernels that do not tell.
    pub(super) channels: Option<Channels>,
}

/// Which tables have changed since they were read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stale {
    /// Links and their queues.
    pub(super) links: bool,
    /// Addresses.
    pub(super) addresses: bool,
    /// Routes.
    pub(super) routes: bool,
    /// Neighbours.
    pub(super) neighbours: bool,
}

/// The tables that were read anew.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    /// Links, and the kind of driver of each.
    pub(super) links: Option<(Vec<Link>, BTreeMap<u32, String>)>,
    /// VLANs among them.
    pub(super) vlans: Option<Vec<VlanLink>>,
    /// Addresses in the kernel's order.
    pub(super) addresses: Option<Vec<LinkAddress>>,
    /// Routes of the main and local tables.
    pub(super) routes: Option<Vec<KernelRoute>>,
    /// Neighbours.
    pub(super) neighbours: Option<Neighbours>,
}

impl Stale {
    /// Everything.
    pub(super) const ALL: Self =
        Self { links: true, addresses: true, routes: true, neighbours: true };

    /// Whether anything is.
    pub(super) fn any(self) -> bool {
        self != Self::default()
    }
}

impl Kernel {
    /// In this thread's network namespace.
    pub(super) async fn open() -> Result<Self> {
        let route = Requests::open(NETLINK_ROUTE)?;
        let channels = Channels::open().await;
        if let Err(error) = &channels {
            tracing::info!("taking the maximum for the number of receive queues: {error:#}");
        }
        Ok(Self { route, channels: channels.ok() })
    }

    /// Reads what is stale.
    pub(super) async fn read(self, stale: Stale) -> Result<Fresh> {
        let mut fresh = Fresh::default();
        if stale.links {
            let (links, kinds, vlans) = self.links().await?;
            fresh.links = Some((links, kinds));
            fresh.vlans = Some(vlans);
        }
        if stale.addresses {
            fresh.addresses = Some(self.addresses().await?);
        }
        if stale.routes {
            fresh.routes = Some(self.routes().await?);
        }
        if stale.neighbours {
            fresh.neighbours = Some(self.neighbours().await?);
        }
        Ok(fresh)
    }

    async fn links(&self) -> Result<(Vec<Link>, BTreeMap<u32, String>, Vec<VlanLink>)> {
        let queues = match &self.channels {
            Some(channels) => channels.dump().await?,
            None => BTreeMap::new(),
        };
        let (mut links, mut kinds, mut vlans) = (Vec::new(), BTreeMap::new(), Vec::new());
        for message in self.route.dump(link::question()).await.context("list links")? {
            let RouteNetlinkMessage::NewLink(message) = message else { continue };
            let Some((link, kind)) = link::decode(&message, &queues) else { continue };
            kinds.extend(kind.map(|kind| (link.ifindex, kind)));
            links.push(link);
            vlans.extend(link::vlan(&message));
        }
        links.sort_by_key(|link: &Link| link.ifindex);
        vlans.sort_by_key(|vlan| vlan.ifindex);
        Ok((links, kinds, vlans))
    }

    async fn addresses(&self) -> Result<Vec<LinkAddress>> {
        let messages = self.route.dump(address::question()).await.context("list addresses")?;
        let decoded = messages.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewAddress(message) => address::decode(message),
            _ => None,
        });
        Ok(decoded.collect())
    }

    async fn routes(&self) -> Result<Vec<KernelRoute>> {
        let messages = self.route.dump(route::question()).await.context("list routes")?;
        let decoded = messages.iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewRoute(message) => route::decode(message),
            _ => None,
        });
        Ok(decoded.collect())
    }

    async fn neighbours(&self) -> Result<Neighbours> {
        let messages = self.route.dump(neighbour::question()).await.context("list neighbours")?;
        let messages = messages.into_iter().filter_map(|message| match message {
            RouteNetlinkMessage::NewNeighbour(message) => Some(message),
            _ => None,
        });
        Ok(Neighbours::from_dump(&messages.collect::<Vec<_>>()))
    }
}
