use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use dataplane::addr::{Addr, L4Port};
use dataplane::counters::{Counter, Counters, FrontendCounters, PortCounters};
use dataplane::drop_reason::DropReason;
use dataplane::pipeline::rehearse::{FlowName, KnownFlow};
use dataplane::tables::{BackendId, FrontendId, Maglev, PortId};
use dataplane::worker::command::{Census, Command, FlowInfo};
use tokio::sync::oneshot;

use super::Gateway;
use super::backends::Sources;
use super::capture::Answer;
use super::engine::worker::{Handle, WorkerThread};
use super::orders::Order;
use crate::api_types::{self, Flow, Frames, Pools, Reload, Service, Status};
use crate::capture;
use crate::compile::{FrontendView, ServiceView, shares};
use crate::memory;
use crate::metrics;
use crate::trace::{self, Question, Trace};

/// A question of the admin API, with where its answer goes.
pub enum Query {
    /// How is the gateway?
    Status(oneshot::Sender<Status>),
    /// What are its services?
    Services(oneshot::Sender<Vec<Service>>),
    /// Which pools of addresses has the cluster? `None` without one.
    Pools(oneshot::Sender<Option<Pools>>),
    /// Which connections are there?
    Flows {
        /// At most so many.
        limit: usize,
        /// Only those of this service.
        service: Option<String>,
        /// Where the answer goes.
        reply: oneshot::Sender<Vec<Flow>>,
    },
    /// Something shall change.
    Order(Order),
    /// What would become of a packet?
    Trace(Question, oneshot::Sender<Result<Trace, String>>),
    /// Show packets as they come.
    Capture {
        /// Which.
        request: capture::Request,
        /// Where the answer goes.
        reply: oneshot::Sender<Answer>,
    },
    /// Show no more; says whether any were shown.
    EndCapture(oneshot::Sender<bool>),
    /// Everything that is counted, in OpenMetrics text.
    Metrics(oneshot::Sender<String>),
}

type Names = HashMap<FrontendId, Arc<str>>;

/// One of the counters of a worker.
type Outcome = fn(&Counters) -> &Counter;

/// By table, which is held so that its address stays its own.
pub(super) type Shares = HashMap<*const Maglev, (Arc<Maglev>, HashMap<BackendId, f64>)>;

impl Gateway {
    /// Answers now what control knows; what a worker must say is awaited in a task of its own.
    /// An asker that has gone away meanwhile misses nothing.
    pub(super) async fn answer(&mut self, query: Query) {
        match query {
            Query::Status(reply) => {
                let (status, workers) = (self.status(), self.engine.handles());
                tokio::spawn(async move {
                    let frames = census(&workers).await;
                    let _ = reply.send(Status { frames, ..status });
                });
            }
            Query::Services(reply) => {
                self.learn_shares();
                let _ = reply.send(self.services());
            }
            Query::Pools(reply) => drop(reply.send(self.pools())),
            Query::Flows { limit, service, reply } => {
                let (names, workers) = (self.frontend_names(), self.engine.handles());
                tokio::spawn(async move {
                    let _ = reply.send(flows(&workers, &names, limit, service.as_deref()).await);
                });
            }
            Query::Order(order) => self.obey(order).await,
            Query::Trace(question, reply) => match trace::prepare(&question, &self.compiled) {
                Ok(prepared) => {
                    let workers = self.engine.handles();
                    let refusing = self.standing.effective.refusing.clone();
                    tokio::spawn(async move {
                        let flow = find(&workers, prepared.flow_name()).await;
                        let mut trace = prepared.finish(flow);
                        trace.blame_checks(&refusing, prepared.family());
                        let _ = reply.send(Ok(trace));
                    });
                }
                Err(wrong) => drop(reply.send(Err(wrong))),
            },
            Query::Capture { request, reply } => self.begin_capture(&request, reply),
            Query::EndCapture(reply) => drop(reply.send(self.end_capture())),
            Query::Metrics(reply) => {
                let pools = self.pools();
                let text = metrics::render(&self.status(), &self.services(), pools.as_ref());
                let _ = reply.send(text);
            }
        }
    }

    fn status(&self) -> Status {
        let drops = DropReason::ALL.iter().map(|reason| {
            (reason.name().to_owned(), self.engine.sum(|counters| counters.drops(*reason)))
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            gateway: self.desired.gateway.name.clone(),
            uptime_s: self.uptime().as_secs(),
            start_ms: self.start_ms,
            epoch: self.engine.epoch(),
            config: self.config.display().to_string(),
            last_reload: self.last_reload(),
            ports: self.ports(),
            workers: self.workers(),
            frames: None,
            conflicts: self.conflicts(),
            drops: drops.collect(),
            verdicts: self.verdicts(),
            health: self.standing.health(),
            drained: self.standing.drained(),
            released: self.standing.released(self.uptime()),
            cluster: self.cluster_state(),
        }
    }

    fn last_reload(&self) -> Reload {
        let since_1970 = self.reloads.at.duration_since(SystemTime::UNIX_EPOCH);
        Reload {
            at: since_1970.unwrap_or_default().as_secs(),
            ok: self.reloads.problems.is_empty(),
            problems: self.reloads.problems.clone(),
        }
    }

    fn ports(&self) -> Vec<api_types::Port> {
        let attached = &self.steer.report().ports;
        // VLANs, which come after them, have no rings.
        let ports = self.compiled.tables.ports.iter().take(self.desired.ports.len());
        let ports = (0..).map(PortId).zip(ports);
        ports
            .map(|(id, port)| {
                let sum = |counter: fn(&PortCounters) -> &Counter| {
                    self.engine.sum(|counters| counter(counters.port(id)).get())
                };
                let mode = attached.iter().find(|attached| attached.port_id == id.0);
                let lanes = self.engine.lanes.iter().filter(|lane| lane.port == id);
                api_types::Port {
                    name: port.name.to_string(),
                    mode: mode.map_or_else(String::new, |a| a.mode.name().to_owned()),
                    queues: lanes.clone().count() as u32,
                    remade: self.remade.iter().any(|name| **name == *port.name),
                    zero_copy: lanes.clone().all(|lane| lane.zero_copy),
                    rx_packets: sum(|port| &port.rx_packets),
                    rx_bytes: sum(|port| &port.rx_bytes),
                    tx_packets: sum(|port| &port.tx_packets),
                    tx_bytes: sum(|port| &port.tx_bytes),
                }
            })
            .collect()
    }

    fn workers(&self) -> Vec<api_types::Worker> {
        let workers = self.engine.workers().iter().enumerate();
        workers
            .map(|(number, worker)| {
                let stalled = self.stalls.is_stalled(number);
                api_types::Worker { stalled, ..self.worker(worker) }
            })
            .collect()
    }

    fn worker(&self, worker: &WorkerThread) -> api_types::Worker {
        let counters = &worker.counters;
        api_types::Worker {
            core: worker.core,
            stalled: false,
            flows: counters.flows.get(),
            flows_max: memory::flow_table(&self.desired.worker).flows as u64,
            half_open: counters.half_open.get(),
            half_open_evicted: counters.half_open_evicted.get(),
            waiting: counters.waiting.get(),
            checksums_finished: counters.checksums_finished.get(),
            answers_limited: counters.answers_limited.get(),
            handed_in: counters.handed_in.get(),
            handed_out: counters.handed_out().collect(),
            turns: counters.turns.get(),
            busy_turns: counters.busy_turns.get(),
            sleeps: counters.sleeps.get(),
            epoch: counters.epoch.get(),
        }
    }

    /// What became of packets in the worker, and what the steering program did with them.
    fn verdicts(&self) -> BTreeMap<String, u64> {
        let outcomes: [(&str, Outcome); 5] = [
            ("forwarded", |counters| &counters.forwarded),
            ("replied", |counters| &counters.replied),
            ("refused", |counters| &counters.refused),
            ("originated", |counters| &counters.originated),
            ("originated_lost", |counters| &counters.originated_lost),
        ];
        let mut verdicts: BTreeMap<String, u64> = outcomes
            .into_iter()
            .map(|(name, of)| (name.to_owned(), self.engine.sum(|counters| of(counters).get())))
            .collect();
        match self.steer.verdicts() {
            Ok(steering) => verdicts.extend(
                steering.into_iter().map(|(name, count)| (format!("steering_{name}"), count)),
            ),
            Err(error) => tracing::warn!("{error}"),
        }
        verdicts
    }

    fn frontend_names(&self) -> Names {
        let services = self.compiled.services.iter();
        services
            .flat_map(|service| service.frontends.iter().map(|f| (f.id, Arc::clone(&service.name))))
            .collect()
    }

    /// Works out the shares of tables that were not asked for before: each is walked once in its
    /// life. Lets go of tables that nobody else holds: not with every change, since there may be
    /// many of both.
    fn learn_shares(&mut self) {
        self.shares.retain(|_, (maglev, _)| Arc::strong_count(maglev) > 1);
        for (_, frontend) in self.compiled.tables.frontends.iter() {
            let Some(maglev) = &frontend.maglev else { continue };
            let entry = self.shares.entry(Arc::as_ptr(maglev));
            entry.or_insert_with(|| (Arc::clone(maglev), shares(maglev)));
        }
    }

    /// Every (VIP, port) of every service, with the shares that are known.
    fn services(&self) -> Vec<Service> {
        let sources = &self.service_sources();
        let remarks = self.remarks();
        let services = self.compiled.services.iter();
        let services = services.flat_map(|service| {
            service.frontends.iter().map(move |f| self.service(service, f, sources))
        });
        services.map(|service| remarks.on(service)).collect()
    }

    fn service(
        &self,
        service: &ServiceView,
        view: &FrontendView,
        sources: &Sources<'_>,
    ) -> Service {
        let tables = &self.compiled.tables;
        let frontend = tables.frontends.get(view.id);
        let maglev = frontend.and_then(|f| f.maglev.as_ref());
        let shares = maglev.and_then(|maglev| self.shares.get(&Arc::as_ptr(maglev)));
        let share_of = |id| shares.and_then(|(_, shares)| shares.get(&id)).copied();
        let backends = sources.backends(&service.name, view, &tables.backends, share_of);
        let addr = view.key.addr;
        let released =
            self.standing.effective.desired.apart.get(&addr).is_some_and(|a| !a.announced);
        let silent = released || self.desired.deadlines.over(&addr);
        let announce = (0..).map(PortId).zip(tables.ports.iter());
        let announce = announce.filter(|(id, port)| {
            let remade = self.remade.iter().any(|name| **name == *port.name);
            view.announce.contains(*id) && !silent && !remade
        });
        let count = |which: fn(&FrontendCounters) -> u64| {
            self.engine.sum(|counters| counters.frontend(view.id).map_or(0, which))
        };
        Service {
            name: service.name.to_string(),
            vip: view.key.addr.to_ip(),
            port: view.key.port,
            protocol: view.key.proto.to_string(),
            mode: service.mode.name().to_owned(),
            announce: announce.map(|(_, port)| port.name.to_string()).collect(),
            announcement: None,
            problems: Vec::new(),
            table_size: view.table_size,
            backends,
            hold: self.standing.hold_word(addr, self.uptime()),
            drained: self.standing.drains.vip(addr),
            panic: self.standing.panics(&service.name, addr.family()),
            refusing: self.standing.refuses(&service.name, addr.family()),
            flows_total: count(|c| c.flows.get()),
            packets_in: count(|c| c.packets_in.get()),
            bytes_in: count(|c| c.bytes_in.get()),
            packets_out: count(|c| c.packets_out.get()),
            bytes_out: count(|c| c.bytes_out.get()),
            no_backend: count(|c| c.no_backend.get()),
        }
    }
}

/// Where every frame is; `None` when a worker does not answer.
async fn census(workers: &[Handle]) -> Option<Frames> {
    // All are asked before the first answer is awaited.
    let asked: Vec<_> = workers.iter().map(|worker| worker.ask(Command::TakeCensus)).collect();
    let mut all = Vec::new();
    for answer in asked {
        all.push(answer.await?);
    }
    let census: Census = all.into_iter().sum();
    Some(Frames {
        total: census.total,
        pool: census.pool,
        rx: census.rx,
        tx: census.tx,
        waiting: census.waiting,
        between: census.between,
        rx_ring_full: census.rx_ring_full,
        fill_ring_empty: census.fill_ring_empty,
    })
}

/// The flow of this name, when a worker has it.
async fn find(workers: &[Handle], name: Option<FlowName>) -> Option<KnownFlow> {
    let name = name?;
    for worker in workers {
        let answer = worker.ask(|reply| Command::FindFlow(name, reply)).await;
        if let Some(found) = answer.flatten() {
            return Some(found);
        }
    }
    None
}

/// The flows of one worker after the other.
async fn flows(
    workers: &[Handle],
    names: &Names,
    limit: usize,
    service: Option<&str>,
) -> Vec<Flow> {
    let mut found = Vec::new();
    for worker in workers {
        let rest = limit - found.len();
        found.extend(flows_of(worker, names, rest, service).await);
    }
    found
}

/// Asks a worker for one part of its table after the other.
async fn flows_of(
    worker: &Handle,
    names: &Names,
    limit: usize,
    service: Option<&str>,
) -> Vec<Flow> {
    let mut found = Vec::new();
    let mut cursor = Some(0);
    while let Some(from) = cursor.filter(|_| found.len() < limit) {
        let Some((flows, next)) = worker.page(from).await else { break };
        let shown = flows.into_iter().map(|info| describe(info, names));
        found.extend(shown.filter(|flow| service.is_none() || flow.service.as_deref() == service));
        cursor = next;
    }
    found.truncate(limit);
    found
}

fn describe(info: FlowInfo, names: &Names) -> Flow {
    let end = |(addr, port): (Addr, L4Port)| SocketAddr::new(addr.to_ip(), port);
    Flow {
        proto: info.proto.to_string(),
        client: end(info.client),
        vip: info.vip.map(end),
        mode: info.mode.name().to_owned(),
        snat: info.snat.0.map(|addr| end((addr, info.snat.1))),
        backend: end(info.backend),
        state: info.state.name().to_owned(),
        idle_ms: u64::from(info.idle_ms),
        service: names.get(&info.frontend).map(ToString::to_string),
    }
}
