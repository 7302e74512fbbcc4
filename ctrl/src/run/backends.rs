use std::collections::HashMap;
use std::net::SocketAddr;

use dataplane::addr::{Addr, L4Port};
use dataplane::counters::{BackendCounters, Counter, Counters};
use dataplane::tables::{self, BackendId, Slab};

use super::Gateway;
use super::engine::Engine;
use super::standing::seconds;
use crate::api_types::{Backend, Health};
use crate::compile::FrontendView;
use crate::desired::{BackendSettings, Service, ServicePort};
use crate::health::book::Book;
use crate::health::{Failed, Target};
use crate::overlay::Drains;

/// What an answer about services is made of, gathered once.
pub(super) struct Sources<'a> {
    services: HashMap<&'a str, &'a Service>,
    drains: &'a Drains,
    failed: Failed,
    book: &'a Book,
    engine: &'a Engine,
}

impl Gateway {
    /// The services of the source with what was said and found out about their backends.
    pub(super) fn service_sources(&self) -> Sources<'_> {
        let services = self.desired.services.iter();
        Sources {
            services: services.map(|service| (&*service.name.value, &**service)).collect(),
            drains: &self.standing.drains,
            failed: self.standing.book().failed(),
            book: self.standing.book(),
            engine: &self.engine,
        }
    }
}

impl Sources<'_> {
    /// The backends of a frontend as people know them: those of the source, also the ones that get
    /// nothing now. `share_of` says which share of new flows a backend gets, 0 to 1.
    pub(super) fn backends(
        &self,
        name: &str,
        view: &FrontendView,
        tables: &Slab<tables::Backend>,
        share_of: impl Fn(BackendId) -> Option<f64>,
    ) -> Vec<Backend> {
        let Some(service) = self.services.get(name) else { return Vec::new() };
        let Some(port) = port_of(service, view) else { return Vec::new() };
        let members = view.members.iter().filter_map(|m| Some((tables.get(m.id)?, m.id)));
        let ids: HashMap<(Addr, L4Port), BackendId> =
            members.map(|(backend, id)| ((backend.addr, backend.port), id)).collect();
        let family = view.key.addr.family();
        let mine = |b: &&BackendSettings| Addr::from(b.address.value).family() == family;
        let mut backends: Vec<Backend> = service
            .backends
            .iter()
            .filter(mine)
            .map(|backend| {
                let at = (Addr::from(backend.address.value), backend.port.unwrap_or(port.target));
                let id = ids.get(&at).copied();
                let count = |which: fn(&BackendCounters) -> &Counter| {
                    let of = |counters: &Counters, id| {
                        counters.backend(id).map_or(0, |c| which(c).get())
                    };
                    id.map_or(0, |id| self.engine.sum(|counters| of(counters, id)))
                };
                Backend {
                    address: backend.address.value,
                    port: at.1,
                    weight: backend.weight,
                    state: self.state(service, view, backend).to_owned(),
                    share_percent: id.and_then(&share_of).unwrap_or(0.0) * 100.0,
                    flows: None,
                    refused: count(|c| &c.refused),
                    resets: count(|c| &c.resets),
                    unreachable: count(|c| &c.unreachable),
                    health: self.health(service, backend),
                }
            })
            .collect();
        backends.sort_unstable_by_key(|backend| SocketAddr::new(backend.address, backend.port));
        backends
    }

    fn health(&self, service: &Service, backend: &BackendSettings) -> Option<Health> {
        let record = self.book.get(&Target::of(service, backend)?)?;
        Some(Health {
            standing: record.standing.name().to_owned(),
            since: seconds(record.since),
            last_error: record.last_error,
            probes: record.probes,
            failures: record.failures,
        })
    }

    /// Why a backend gets new flows or not. In panic a failed one gets them all the same.
    fn state(
        &self,
        service: &Service,
        view: &FrontendView,
        backend: &BackendSettings,
    ) -> &'static str {
        if self.failed.fails(service, backend) {
            "failed"
        } else if self.drains.backend(service, backend) || self.drains.vip(view.key.addr) {
            "drained"
        } else if backend.weight == 0 {
            "draining"
        } else {
            "active"
        }
    }
}

fn port_of<'s>(service: &'s Service, view: &FrontendView) -> Option<&'s ServicePort> {
    let key = view.key;
    service.ports.iter().find(|port| port.port.value == key.port && port.proto == key.proto)
}
