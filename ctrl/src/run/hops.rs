use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;
use dataplane::addr::{Addr, Mac};
use dataplane::pipeline::tx::AskHop;
use dataplane::tables::{HopId, PortId};
use tokio::sync::Notify;

use super::Gateway;
use super::conflicts::Claims;

/// How often the kernel is told which neighbours are in use; shorter than it takes it to collect
/// an unused one (`gc_stale_time`, 60 s).
pub const REFRESH: Duration = Duration::from_secs(15);
/// Questions of workers that may wait at once. A lost one is asked again by the next packet.
const QUESTIONS: usize = 1024;

/// Next hops that workers want to know of.
#[derive(Debug, Clone)]
pub struct HopRequests(Arc<Shared>, Arc<Claims>);

#[derive(Debug)]
struct Shared {
    questions: ArrayQueue<(PortId, Addr)>,
    notify: Notify,
}

impl HopRequests {
    /// No questions yet; `claims` is where workers put what others claim.
    pub(super) fn new(claims: &Arc<Claims>) -> Self {
        let questions = ArrayQueue::new(QUESTIONS);
        Self(Arc::new(Shared { questions, notify: Notify::new() }), Arc::clone(claims))
    }

    /// The workers' end.
    pub(super) fn asker(&self) -> Box<dyn AskHop + Send> {
        Box::new(self.clone())
    }

    /// Resolves when a worker asks. Cancellation-safe.
    pub(super) async fn asked(&self) {
        while self.0.questions.is_empty() {
            self.0.notify.notified().await;
        }
    }
}

impl AskHop for HopRequests {
    fn ask(&self, port: PortId, addr: Addr) {
        // Full: the packet that waits for this hop will expire, and the next one asks again.
        let _ = self.0.questions.push((port, addr));
        self.0.notify.notify_one();
    }

    fn claimed(&self, port: PortId, addr: Addr, mac: Mac) {
        self.1.push(port, addr, mac);
    }
}

/// How many packets each hop had carried when it was last looked at.
pub(super) type Carried = HashMap<HopId, u64>;

impl Gateway {
    /// Has the kernel resolve the next hops that workers wait for; its answer comes as a change
    /// of topology.
    pub(super) async fn resolve_hops(&mut self) {
        while let Some((port, addr)) = self.hops.0.questions.pop() {
            let Some(ifindex) = self.ifindex(port) else { continue };
            if let Err(error) = self.netlink.probe(ifindex, addr.to_ip()).await {
                tracing::warn!("{error:#}");
            }
        }
    }

    /// Our packets bypass the kernel, so it must be told which neighbours they go to, or it
    /// would collect them.
    pub(super) async fn refresh_hops(&mut self) {
        for (id, hop) in self.engine.hops_used(&self.compiled.tables) {
            let Some(ifindex) = self.ifindex(hop.port) else { continue };
            if let Err(error) = self.netlink.refresh(ifindex, hop.addr.to_ip()).await {
                tracing::debug!(?id, "{error:#}");
            }
        }
    }

    /// The kernel's index of a port.
    pub(super) fn ifindex(&self, port: PortId) -> Option<u32> {
        let name = &self.compiled.tables.ports.get(usize::from(port.0))?.name;
        self.netlink.topology().link(name).map(|link| link.ifindex)
    }
}
