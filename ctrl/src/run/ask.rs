//! How a worker is asked something: a command that carries the way back for the answer.

use std::time::Duration;

use dataplane::worker::command::{Command, FlowInfo, ListFlows};
use tokio::sync::oneshot;

use super::engine::worker::Handle;

/// Places of the flow table that a worker looks at in one go, so that packets do not wait.
const PLACES: usize = 512;
/// How long a worker may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Flows, and the place of the table to go on from when there is more.
type Page = (Vec<FlowInfo>, Option<usize>);

impl Handle {
    /// Hands the worker what `command` makes of the way back for the answer, now; the answer is
    /// awaited when the future is. It is `None` when the worker does not answer in time.
    pub(super) fn ask<T: Send + 'static>(
        &self,
        command: impl FnOnce(Box<dyn FnOnce(T) + Send>) -> Command,
    ) -> impl Future<Output = Option<T>> {
        let (reply, answer) = oneshot::channel();
        // An asker that has gone away misses nothing.
        self.command(command(Box::new(move |it| drop(reply.send(it)))));
        async move { tokio::time::timeout(PATIENCE, answer).await.ok()?.ok() }
    }

    /// Asks for the flows of one part of the worker's table, which begins at the place `cursor`.
    pub(super) fn page(&self, cursor: usize) -> impl Future<Output = Option<Page>> {
        self.ask(move |reply| {
            Command::ListFlows(ListFlows {
                cursor,
                places: PLACES,
                buffer: Vec::with_capacity(PLACES),
                reply: Box::new(move |flows, next| reply((flows, next))),
            })
        })
    }
}
