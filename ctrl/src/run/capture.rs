use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use dataplane::addr::Addr;
use tokio::sync::{mpsc, oneshot};

use super::Gateway;
use crate::capture::stream::{CHUNKS, Interface, Plan, Stream, Tell};
use crate::capture::words::{self, End, Services};
use crate::capture::{Refused, Request};

/// The file as it comes, or why there is none.
pub type Answer = Result<mpsc::Receiver<Bytes>, Refused>;

impl Gateway {
    /// Begins a capture on a thread of its own. There is one at a time: a second would cost packets
    /// of the first.
    pub(super) fn begin_capture(&mut self, request: &Request, reply: oneshot::Sender<Answer>) {
        if self.capture.strong_count() > 0 {
            return drop(reply.send(Err(Refused::Busy)));
        }
        let plan = match self.plan(request) {
            Ok(plan) => plan,
            Err(refused) => return drop(reply.send(Err(refused))),
        };
        let workers = self
            .engine
            .handles()
            .into_iter()
            .map(|handle| -> Tell { Box::new(move |command| handle.command(command)) });
        let workers = workers.collect();
        let stop = Arc::new(AtomicBool::new(false));
        self.capture = Arc::downgrade(&stop);
        let thread = std::thread::Builder::new().name("capture".to_owned());
        // Without a thread the asker's wait ends with the way to it.
        let spawned = thread.spawn(move || match Stream::begin(plan, workers, stop) {
            Ok(stream) => {
                let (out, file) = mpsc::channel(CHUNKS);
                if reply.send(Ok(file)).is_ok() {
                    tracing::info!("a capture begins");
                }
                stream.run(&out);
                tracing::info!("the capture has ended");
            }
            Err(worker) => {
                let what = format!("worker {worker} does not take the command");
                drop(reply.send(Err(Refused::Failed(what))));
            }
        });
        if let Err(error) = spawned {
            tracing::warn!("cannot start the thread of a capture: {error}");
        }
    }

    /// Ends the capture that runs. Returns whether there was one.
    pub(super) fn end_capture(&self) -> bool {
        let stop = self.capture.upgrade();
        if let Some(stop) = &stop {
            stop.store(true, Ordering::Relaxed);
        }
        stop.is_some()
    }

    fn plan(&self, request: &Request) -> Result<Plan, Refused> {
        let filter = words::parse(&request.filter, self).map_err(|problem| {
            Refused::Wrong(problem.render(Some(&request.filter)).trim_end().to_owned())
        })?;
        if request.snaplen == 0 {
            return Err(Refused::Wrong("error: a snaplen of 0 shows nothing".to_owned()));
        }
        // VLANs, which come after them, show by their tags.
        let ports = self.compiled.tables.ports.iter().take(self.desired.ports.len());
        let interfaces =
            ports.map(|port| Interface { name: port.name.to_string(), mac: port.mac.0 }).collect();
        let limit = request.seconds.map(Duration::from_secs);
        Ok(Plan { filter, snaplen: request.snaplen, count: request.count, limit, interfaces })
    }
}

impl Services for Gateway {
    fn ends(&self, name: &str) -> Option<Box<[End]>> {
        let service = self.compiled.services.iter().find(|service| &*service.name == name)?;
        let frontends = service.frontends.iter().flat_map(|view| {
            let proto = view.key.proto;
            let backends = view.members.iter().filter_map(move |member| {
                let backend = self.compiled.tables.backends.get(member.id)?;
                Some((backend.addr, backend.port, proto))
            });
            std::iter::once((view.key.addr, view.key.port, proto)).chain(backends)
        });
        let mut ends: Vec<End> = frontends.collect();
        ends.sort_by_key(|(addr, port, proto): &(Addr, _, _)| (*addr, *port, *proto));
        ends.dedup();
        Some(ends.into())
    }

    fn names(&self) -> Vec<&str> {
        self.compiled.services.iter().map(|service| &*service.name).collect()
    }
}
