//! Orders of the admin API: what changes at run time, by hand or by another program.

use std::time::Duration;

use dataplane::addr::Addr;
use dataplane::flow::State;
use dataplane::worker::command::{Command, FlowInfo, ListFlows};
use tokio::sync::oneshot;

use super::Gateway;
use super::engine::worker::Handle;
use super::queries::{PATIENCE, PLACES};
use crate::api_types::{Address, Apart, DrainedState, FlowsLeft};
use crate::overlay::Drained;

/// The answer to an order: what holds now, or why it was refused.
type Reply<T> = oneshot::Sender<Result<T, String>>;

/// What the operator wants changed.
pub enum Order {
    /// Give this VIP or backend no new flows.
    Drain(Address, Reply<DrainedState>),
    /// Give it new flows again.
    Undrain(Address, Reply<DrainedState>),
    /// Announce this address, or all, for this long or for good.
    Hold(Option<Addr>, Option<Duration>, Reply<Vec<Apart>>),
    /// Announce it, or all, no more.
    Release(Option<Addr>, Reply<Vec<Apart>>),
    /// Count the flows of this VIP or backend.
    CountFlows(Address, Reply<FlowsLeft>),
}

impl Gateway {
    /// Carries an order out, and answers when it is in force. An asker that has gone away
    /// meanwhile misses nothing.
    pub(super) async fn obey(&mut self, order: Order) {
        match order {
            Order::Drain(what, reply) => drop(reply.send(self.drain(&what).await)),
            Order::Undrain(what, reply) => drop(reply.send(self.undrain(&what).await)),
            Order::Hold(addr, lease, reply) => drop(reply.send(self.hold(addr, lease).await)),
            Order::Release(addr, reply) => drop(reply.send(self.release(addr).await)),
            Order::CountFlows(what, reply) => match self.drain_of(&what) {
                Err(refusal) => drop(reply.send(Err(refusal))),
                Ok(what) => {
                    let workers = self.engine.handles();
                    tokio::spawn(async move { reply.send(count_all(&workers, what).await) });
                }
            },
        }
    }
}

/// Counts the flows of all workers.
async fn count_all(workers: &[Handle], what: Drained) -> Result<FlowsLeft, String> {
    let mut flows = 0;
    for worker in workers {
        flows += count(worker, what).await?;
    }
    Ok(FlowsLeft { flows })
}

/// Counts flows by asking a worker for one part of its table after the other.
async fn count(worker: &Handle, what: Drained) -> Result<u64, String> {
    let mut left = 0;
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        let (reply, answer) = oneshot::channel();
        worker.command(Command::ListFlows(ListFlows {
            cursor: from,
            places: PLACES,
            buffer: Vec::with_capacity(PLACES),
            reply: Box::new(move |flows, next| drop(reply.send((flows, next)))),
        }));
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let Ok(Ok((flows, next))) = answer else {
            return Err("a worker does not answer".to_owned());
        };
        left += flows.iter().filter(|flow| is_of(flow, what)).count() as u64;
        cursor = next;
    }
    Ok(left)
}

/// Whether a flow is open and belongs to what is drained. A connection that both ends have closed
/// stays in the table for a while, but nobody waits for it.
fn is_of(flow: &FlowInfo, what: Drained) -> bool {
    let open = flow.state != State::Closed;
    open && match what {
        Drained::Vip(addr) => flow.vip.is_some_and(|(vip, _)| vip == addr),
        Drained::Backend(addr, port) => {
            flow.backend.0 == addr && port.is_none_or(|port| port == flow.backend.1)
        }
    }
}
