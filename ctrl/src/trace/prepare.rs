use std::collections::HashMap;
use std::sync::Arc;

use dataplane::addr::{Addr, Family, L4Port, Mac, Proto};
use dataplane::flow::State;
use dataplane::pipeline::rehearse::{
    FlowName, KnownFlow, Probe, Rehearsal, SOMEBODY, Verdict as Fate, What, flow_name,
};
use dataplane::tables::frontend::Mode;
use dataplane::tables::{FrontendId, PortId, Tables};
use dataplane::wire::tcp::Flags;
use portreeve_bpf_abi::Verdict as Cause;

use super::question::{End, Protocol, Question, Target};
use super::words::Walk;
use super::{Step, Trace};
use crate::compile::{Compiled, FrontendView};
use crate::steering::judge::judge;

/// The client's port when none is given: the first of the range that clients use (RFC 6335).
const SOME_PORT: L4Port = 49_152;

/// A question, with all that is needed to answer it but the worker's word.
#[derive(Debug)]
pub struct Prepared {
    pub(super) from: End,
    pub(super) to: Target,
    pub(super) ttl: u8,
    pub(super) size: u16,
    pub(super) tables: Tables,
    pub(super) port: PortId,
    pub(super) first: Step,
    /// What is asked, with what the steering program says of it.
    pub(super) probes: Vec<(Probe, Cause)>,
    pub(super) views: HashMap<FrontendId, (Arc<str>, FrontendView)>,
    name: Option<FlowName>,
}

/// Turns a question into packets, on what is in force.
///
/// # Errors
/// What is wrong with the question.
pub fn prepare(question: &Question, compiled: &Compiled) -> Result<Prepared, String> {
    let from: End = question.from.parse()?;
    let to: Target = question.to.parse()?;
    if from.addr.is_ipv4() != to.addr.is_ipv4() {
        return Err(format!("{} and {} are not of one family", from.addr, to.addr));
    }
    let tables = &compiled.tables;
    let (port, first) = in_port(tables, Addr::from(from.addr), question.in_port.as_deref())?;
    let mut prepared = Prepared {
        from,
        to,
        ttl: question.ttl,
        size: question.size,
        tables: tables.clone(),
        port,
        first,
        probes: Vec::new(),
        views: HashMap::new(),
        name: None,
    };
    let opening = prepared.whats(None);
    for what in opening {
        let probe = prepared.probe(what);
        prepared.probes.push((probe, judge(&compiled.steering, &probe)));
    }
    prepared.name = prepared.probes.first().and_then(|(probe, cause)| {
        crate::steering::judge::takes(*cause).then(|| flow_name(tables, port, &probe.frame()))?
    });
    let services = compiled.services.iter();
    prepared.views = services
        .flat_map(|s| s.frontends.iter().map(|f| (f.id, (Arc::clone(&s.name), f))))
        .filter(|(_, (_, view))| prepared.concerns(view))
        .map(|(id, (name, view))| (id, (name, view.clone())))
        .collect();
    Ok(prepared)
}

/// Where a packet from `from` comes in, with the reason.
fn in_port(tables: &Tables, from: Addr, named: Option<&str>) -> Result<(PortId, Step), String> {
    let step = |says| Step { at: "in".into(), says };
    if let Some(name) = named {
        let at = tables.ports.iter().position(|port| &*port.name == name);
        let at = at.ok_or_else(|| {
            let names: Vec<&str> = tables.ports.iter().map(|port| &*port.name).collect();
            format!("{name} is no port of this gateway; its ports: {}", names.join(", "))
        })?;
        return Ok((PortId(at as u8), step(format!("through {name}, as --in says"))));
    }
    let route = tables.routing.route(from);
    let Some((port, route)) = route.and_then(|route| Some((route.port?, route))) else {
        return Err(format!(
            "the kernel's routes lead to {from} through no port of this gateway, so replies could not be sent to it (no_route); say with --in PORT where its packets come in all the same"
        ));
    };
    let name = &tables.port(port).name;
    let how = match route.gateway {
        Some(router) => format!("by the router {router}"),
        None => "on that link".to_owned(),
    };
    Ok((
        port,
        step(format!("through {name}: the kernel's route back to {from} leads there, {how}")),
    ))
}

impl Prepared {
    /// The connection that the worker is to be asked for; `None` when the packet can have none.
    #[must_use]
    pub fn flow_name(&self) -> Option<FlowName> {
        self.name
    }

    /// The family of the packet.
    #[must_use]
    pub fn family(&self) -> Family {
        Addr::from(self.to.addr).family()
    }

    /// Whether it is a view that a word of the answer may need.
    fn concerns(&self, view: &FrontendView) -> bool {
        match (self.name, self.to.protocol) {
            (Some(FlowName::Forward(key)), _) => view.id == key.frontend,
            // The service of a reply is known only with its flow.
            (Some(FlowName::Reverse(_) | FlowName::Nat(_)), _) => true,
            (None, _) => view.key.addr == Addr::from(self.to.addr),
        }
    }

    /// The client's side port of the packet.
    pub(super) fn client_port(&self) -> L4Port {
        self.from.port.unwrap_or(SOME_PORT)
    }

    fn whats(&self, known: Option<&KnownFlow>) -> Vec<What> {
        let from = self.client_port();
        match self.to.protocol {
            Protocol::Ping => vec![What::WhoHas, What::Echo],
            Protocol::Transport(Proto::Udp, to) => vec![What::Udp(from, to)],
            Protocol::Transport(Proto::Tcp, to) => {
                let flags = if known.is_some() { Flags::ACK } else { Flags::SYN };
                vec![What::Tcp(from, to, Flags(flags))]
            }
        }
    }

    fn probe(&self, what: What) -> Probe {
        let (src, dst) = (Addr::from(self.from.addr), Addr::from(self.to.addr));
        let mac = self.tables.port(self.port).mac;
        // The router asks for the MAC, when there is one between.
        let asker = self.tables.routing.route(src).and_then(|route| route.gateway);
        let src = if what == What::WhoHas { asker.unwrap_or(src) } else { src };
        Probe { from: SOMEBODY, to: mac, src, dst, what, ttl: self.ttl, len: self.size }
    }

    /// The answer, when the worker has said whether it has the connection.
    #[must_use]
    pub fn finish(&self, known: Option<KnownFlow>) -> Trace {
        // A closed connection is over: the next packet of its client would open it anew.
        let open = known.filter(|flow| flow.state != State::Closed);
        let mut walk = Walk::new(self);
        let mut probes = self.probes.clone();
        if let (Some(_), [(probe, _)]) = (&open, &mut probes[..]) {
            probe.what = self.whats(open.as_ref())[0];
        }
        let mut rehearsal = Rehearsal::new(&self.tables);
        for (probe, cause) in &probes {
            if !walk.steering(probe, *cause) {
                break;
            }
            if let Some(flow) = &open {
                // There is room for one flow.
                let _ = rehearsal.know(flow);
            }
            let (kind, fate) = rehearsal.run(self.port, &probe.frame());
            let flow = self.name.and_then(|name| rehearsal.flow(&name));
            walk.decided(kind, &fate, open.as_ref(), flow.as_ref());
            if let (Fate::Forward(..), Some(FlowName::Forward(_)), Some(flow)) =
                (fate, self.name, flow)
            {
                let reply = self.reply(&flow);
                if let Some((port, probe)) = reply {
                    walk.way_back(&rehearsal.run(port, &probe.frame()).1);
                }
            }
            if !walk.goes_well() {
                break;
            }
        }
        walk.finish()
    }

    /// The backend's answer on a flow; in mode `dsr-l2` it does not come through us.
    fn reply(&self, flow: &KnownFlow) -> Option<(PortId, Probe)> {
        let (backend, port) = flow.backend_at;
        let (dst, to_port) = match flow.mode {
            Mode::Snat => (self.tables.snat.get(flow.snat)?.addr, flow.snat_port),
            Mode::Nat => (flow.key.client, flow.key.client_port),
            Mode::DsrL2 => return None,
        };
        let in_port = self.tables.routing.route(backend)?.port?;
        let what = match flow.proto {
            Proto::Tcp => What::Tcp(port, to_port, Flags(Flags::SYN | Flags::ACK)),
            Proto::Udp => What::Udp(port, to_port),
        };
        let to: Mac = self.tables.port(in_port).mac;
        Some((in_port, Probe { from: SOMEBODY, to, src: backend, dst, what, ttl: 64, len: 0 }))
    }
}
