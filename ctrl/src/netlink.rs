//! The kernel's links, addresses, routes and neighbours, kept current. Reads everything, changes
//! nothing but neighbour entries of our own (`manage`); never a route, an address or a link.
//!
//! Everything happens in the network namespace that the calling thread is in when the sockets
//! are opened, and inside a tokio runtime.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rtnetlink::MulticastGroup;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use tokio::time::Instant;

use self::apply::{Seen, apply};
use self::bound::Bound;
use self::dump::{Fresh, Kernel, Stale};
use self::events::{Event, Events};
use self::neighbour::Neighbours;
use crate::topology::Topology;

pub use self::details::{Details, details};

mod address;
mod apply;
/// Links that are ports.
mod bound;
mod channels;
mod details;
mod dump;
mod events;
mod features;
mod generic;
mod link;
mod manage;
mod neighbour;
mod request;
mod route;

/// Room for events while the control thread is busy: some thousands of them.
const EVENT_BUFFER: usize = 4 << 20;

/// A dump of neighbours can lack an entry, and the kernel does not say so: its table is one for
/// all network namespaces, and what comes and goes in any of them shifts the place at which a
/// dump goes on. So they are read again, this much later, until two reads agree.
const RECHECK: Duration = Duration::from_secs(1);
/// Between attempts to read, so that a caller may ask again at once.
const RETRY: Duration = Duration::from_secs(1);

const GROUPS: [u32; 7] = [
    MulticastGroup::Link as u32,
    MulticastGroup::Neigh as u32,
    MulticastGroup::Ipv4Ifaddr as u32,
    MulticastGroup::Ipv6Ifaddr as u32,
    MulticastGroup::Ipv4Route as u32,
    MulticastGroup::Ipv6Route as u32,
    // Deleting a next hop object takes its IPv4 routes along without a word.
    MulticastGroup::Nexthop as u32,
];

/// One picture of what the kernel has now. On a host that is busy with neighbours it can lack one
/// of them; [`Netlink`] finds out and reads again.
pub async fn snapshot() -> Result<Topology> {
    let fresh = Kernel::open().await?.read(Stale::ALL).await?;
    Ok(Topology {
        links: fresh.links.unwrap_or_default().0,
        remade: Vec::new(),
        vlans: fresh.vlans.unwrap_or_default(),
        addresses: fresh.addresses.unwrap_or_default(),
        routes: fresh.routes.unwrap_or_default(),
        neighbours: fresh.neighbours.as_ref().map(Neighbours::list).unwrap_or_default(),
    })
}

/// A picture that follows the kernel.
pub struct Netlink {
    kernel: Kernel,
    events: Events,
    queue_events: Option<Events>,
    topology: Topology,
    kinds: BTreeMap<u32, String>,
    bound: Bound,
    neighbours: Neighbours,
    stale: Stale,
    /// A read that is under way. It lives here and not in `changed`, so that it goes on where it
    /// was when that future is dropped and made anew.
    reading: Option<Pin<Box<dyn Future<Output = Result<Fresh>> + Send + Sync>>>,
    changed: bool,
    /// When to read the neighbours once more.
    recheck: Option<Instant>,
    /// The next read of the neighbours is that one.
    rechecking: bool,
    /// When to read again what could not be read.
    retry: Option<Instant>,
    overruns: u64,
}

impl Netlink {
    /// Subscribes, then reads everything.
    pub async fn connect() -> Result<Self> {
        Self::connect_buffered(EVENT_BUFFER).await
    }

    /// As [`Self::connect`], with room for `event_buffer` bytes of events as the kernel counts
    /// them (at least about 1 KiB an event). When they do not fit, everything is read anew.
    pub async fn connect_buffered(event_buffer: usize) -> Result<Self> {
        let kernel = Kernel::open().await?;
        let mut netlink = Self {
            events: Events::subscribe(NETLINK_ROUTE, &GROUPS, event_buffer)?,
            queue_events: kernel.queue_events(event_buffer)?,
            kernel,
            topology: Topology::default(),
            kinds: BTreeMap::new(),
            bound: Bound::default(),
            neighbours: Neighbours::default(),
            stale: Stale::ALL,
            reading: None,
            changed: false,
            recheck: None,
            rechecking: false,
            retry: None,
            overruns: 0,
        };
        // Events that come from here on wait in the sockets; none falls between.
        netlink.read_stale().await?;
        netlink.changed = false;
        Ok(netlink)
    }

    /// The picture, as of the last [`Self::changed`].
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// From now on a name stands for the interface that has it now. Another one that gets it is listed
    /// as remade, and not among the links.
    pub fn bind<'n>(&mut self, names: impl Iterator<Item = &'n str>) {
        for link in names.filter_map(|name| self.topology.link(name)) {
            self.bound.bind(link);
        }
    }

    /// Receive queues in use; `None` when there is no such interface.
    #[must_use]
    pub fn channels(&self, ifname: &str) -> Option<u32> {
        self.topology.link(ifname).map(|link| link.rx_queues)
    }

    /// Has the interface leave VLAN tags in the frames that it receives (rxvlan off).
    ///
    /// # Errors
    /// When its driver does not let go of that offload: tagged frames would come in as untagged ones.
    pub async fn keep_vlan_tags(&self, ifindex: u32) -> Result<()> {
        let Some(channels) = &self.kernel.channels else {
            tracing::warn!("this kernel does not tell whether cards take VLAN tags out of frames");
            return Ok(());
        };
        if !channels.keep_vlan_tags(ifindex).await? {
            bail!(
                "its rx VLAN offload cannot be switched off, and would hide the tags of frames from us"
            );
        }
        Ok(())
    }

    /// The kind of a virtual interface ("veth", "vlan", ...); `None` for hardware.
    #[must_use]
    pub fn kind(&self, ifindex: u32) -> Option<&str> {
        self.kinds.get(&ifindex).map(String::as_str)
    }

    /// How often events were lost and everything was read anew.
    #[must_use]
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// Resolves when the picture differs from what it was, or an entry that we had installed is
    /// gone: once for all that has happened, and not for events that change nothing.
    /// Cancellation-safe. An error leaves the picture as it was; calling again tries again.
    pub async fn changed(&mut self) -> Result<()> {
        loop {
            self.read_stale().await?;
            self.take_events()?;
            if self.stale.any() {
                continue;
            }
            if std::mem::take(&mut self.changed) {
                return Ok(());
            }
            self.wait().await?;
        }
    }

    async fn wait(&mut self) -> Result<()> {
        let queue_events = async {
            match &self.queue_events {
                Some(events) => events.ready().await,
                None => std::future::pending().await,
            }
        };
        let recheck = async {
            match self.recheck {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let ready = tokio::select! {
            ready = self.events.ready() => ready,
            ready = queue_events => ready,
            () = recheck => {
                self.recheck = None;
                self.rechecking = true;
                self.stale.neighbours = true;
                Ok(())
            }
        };
        ready.context("wait for netlink events")
    }

    /// Reads what is stale, or goes on reading.
    async fn read_stale(&mut self) -> Result<()> {
        if self.reading.is_none() && self.stale.any() {
            if let Some(due) = self.retry {
                tokio::time::sleep_until(due).await;
                self.retry = None;
            }
            let stale = std::mem::take(&mut self.stale);
            self.reading = Some(Box::pin(self.kernel.clone().read(stale)));
        }
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let fresh = reading.await;
        self.reading = None;
        match fresh {
            Ok(fresh) => {
                self.adopt(fresh);
                Ok(())
            }
            Err(error) => {
                // It may have been any of the tables.
                self.stale = Stale::ALL;
                self.retry = Some(Instant::now() + RETRY);
                Err(error)
            }
        }
    }

    fn adopt(&mut self, fresh: Fresh) {
        if let Some((mut links, kinds)) = fresh.links {
            let remade = self.bound.take_remade(&mut links);
            self.changed |= replace(&mut self.topology.remade, remade);
            self.changed |= replace(&mut self.topology.links, links);
            self.kinds = kinds;
        }
        if let Some(vlans) = fresh.vlans {
            self.changed |= replace(&mut self.topology.vlans, vlans);
        }
        if let Some(addresses) = fresh.addresses {
            self.changed |= replace(&mut self.topology.addresses, addresses);
        }
        if let Some(routes) = fresh.routes {
            self.changed |= replace(&mut self.topology.routes, routes);
        }
        if let Some(neighbours) = fresh.neighbours {
            let settled = self.neighbours.adopt(neighbours);
            if !(settled && std::mem::take(&mut self.rechecking)) {
                self.recheck = Some(Instant::now() + RECHECK);
            }
            self.changed |= replace(&mut self.topology.neighbours, self.neighbours.list());
        }
    }

    fn take_events(&mut self) -> Result<()> {
        let Self { events, stale, neighbours, .. } = self;
        let mut seen = Seen::default();
        let drained = events.drain(|event| match event {
            Event::Lost => seen.lost = true,
            Event::Message { kind, payload } => {
                apply(kind, payload, stale, neighbours, &mut seen);
            }
        });
        if seen.lost {
            self.overruns += 1;
            self.stale = Stale::ALL;
            self.rechecking = false;
        }
        drained.context("receive netlink events")?;
        if let Some(events) = &mut self.queue_events {
            // Whatever it says: reading the links again is cheaper than reading the message.
            events.drain(|_| self.stale.links = true).context("receive ethtool events")?;
        }
        if seen.neighbours && !self.stale.neighbours {
            self.changed |= replace(&mut self.topology.neighbours, self.neighbours.list());
        }
        self.changed |= seen.managed_went;
        Ok(())
    }
}

impl Kernel {
    fn queue_events(&self, buffer: usize) -> Result<Option<Events>> {
        self.channels.as_ref().map(|channels| channels.subscribe(buffer)).transpose()
    }
}

fn replace<T: PartialEq>(current: &mut T, fresh: T) -> bool {
    let differs = *current != fresh;
    *current = fresh;
    differs
}
