use std::net::SocketAddr;

use dataplane::addr::{Addr, Family, L4Port};
use dataplane::drop_reason::DropReason;
use dataplane::limits::WAITING_MS;
use dataplane::pipeline::plan::{Refusal, Translate};
use dataplane::pipeline::rehearse::{
    Choice, Kind, KnownFlow, Probe, Verdict as Fate, What, choice,
};
use dataplane::tables::frontend::Mode;
use dataplane::tables::route::HopRef;
use dataplane::tables::{BackendState, FrontendId, Hop};
use portreeve_bpf_abi::Verdict as Cause;

use super::advice::advice;
use super::prepare::Prepared;
use super::{Step, Trace, Verdict};
use crate::steering::judge::takes;

/// What backends send, and do not send.
mod replies;

/// Puts decisions into words, one after the other.
pub(super) struct Walk<'p> {
    asked: &'p Prepared,
    trace: Trace,
}

impl<'p> Walk<'p> {
    pub(super) fn new(asked: &'p Prepared) -> Self {
        let trace = Trace {
            question: format!("{} to {}", asked.from, asked.to),
            steps: vec![asked.first.clone()],
            verdict: Verdict::Dropped,
            reason: None,
            meaning: None,
            advice: None,
            service: None,
            backend: None,
            source: None,
            next_hop: None,
            out_port: None,
            mtu: None,
        };
        Self { asked, trace }
    }

    pub(super) fn finish(self) -> Trace {
        self.trace
    }

    pub(super) fn goes_well(&self) -> bool {
        self.trace.verdict.is_good()
    }

    fn say(&mut self, at: &str, says: String) {
        self.trace.steps.push(Step { at: at.into(), says });
    }

    fn advise(&mut self, words: impl Into<String>) {
        self.trace.advice = Some(words.into());
    }

    /// What the XDP program does with it. Returns whether it goes on.
    pub(super) fn steering(&mut self, probe: &Probe, cause: Cause) -> bool {
        let dst = probe.dst;
        let why = match cause {
            Cause::Arp => format!("an ARP question for {dst}, which is ours alone"),
            Cause::Ndp => format!("an NDP question for {dst}, which is ours alone"),
            Cause::Owned => format!("{dst} is ours alone"),
            Cause::PortRange => format!("of {dst}, which Linux uses too, this port is ours"),
            Cause::Host => format!("{dst} is an address of this host, and the port is not ours"),
            _ => format!("{dst} is nothing to this gateway"),
        };
        let question = match (probe.what, probe.dst.family()) {
            (What::WhoHas, Family::V4) => "ARP: ",
            (What::WhoHas, Family::V6) => "NDP: ",
            (What::Echo, _) => "ping: ",
            _ => "",
        };
        let (takes, word) = (takes(cause), cause.name());
        let who = if takes { "the XDP program takes it" } else { "the kernel gets it" };
        self.say("steering", format!("{question}{who}: {why} ({word})"));
        if takes {
            return true;
        }
        self.trace.verdict = Verdict::LeftToKernel;
        let what = if cause == Cause::Host {
            "Linux answers itself; if a service was meant, it needs a VIP of its own"
        } else {
            "check the address: `portreeve services` shows every VIP; a service may be missing"
        };
        self.advise(what);
        false
    }

    /// What the worker decides.
    pub(super) fn decided(
        &mut self,
        kind: Result<Kind, DropReason>,
        fate: &Fate,
        live: Option<&KnownFlow>,
        flow: Option<&KnownFlow>,
    ) {
        match kind {
            Ok(Kind::Service(id)) => self.service(id, live),
            Ok(Kind::Reply(snat)) => self.reply(snat, live),
            Ok(Kind::NatReply(stateless)) => self.nat_reply(stateless, live),
            Ok(Kind::Route) => {
                self.say("service", "a backend's own: it is forwarded as by a router".into())
            }
            Ok(Kind::UnknownPort) => {
                let addr = self.asked.to.addr;
                self.say("service", format!("{addr} is ours, but no service has this port"));
            }
            Ok(Kind::Neighbour | Kind::Echo | Kind::Other) | Err(_) => {}
        }
        if let Ok(Kind::Service(_)) = kind
            && let Some(flow) = flow
        {
            self.source(flow, live.is_some());
        }
        match fate {
            Fate::Forward(translate, pieces) => self.forward(kind, translate, *pieces),
            Fate::Route(next) => self.routed(next),
            Fate::Answer => {
                let mac = self.asked.tables.port(self.asked.port).mac;
                let says = match kind {
                    Ok(Kind::Neighbour) => format!("our MAC {mac}, to who asked"),
                    _ => "the echo goes back the way that it came".to_owned(),
                };
                self.say("answer", says);
                self.trace.verdict = Verdict::Answered;
            }
            Fate::Refuse(reason, refusal) => self.end(*reason, Some(refused_with(refusal))),
            Fate::ResetBoth(reason) => self.end(*reason, Some("both ends get RST".into())),
            Fate::Drop(reason) => self.end(*reason, None),
        }
    }

    fn service(&mut self, id: FrontendId, live: Option<&KnownFlow>) {
        let tables = &self.asked.tables;
        let Some(frontend) = tables.frontends.get(id) else { return };
        let view = self.asked.views.get(&id);
        let name = view.map_or("(removed)", |(name, _)| name);
        let members = view.map_or(&[][..], |(_, view)| &view.members);
        let active = members.iter().filter(|member| member.weight > 0).count();
        let key = &frontend.key;
        let says = format!(
            "{}/{} is service `{name}` ({}): {active} of {} backends take new connections",
            SocketAddr::new(key.addr.to_ip(), key.port),
            key.proto,
            frontend.mode.name(),
            members.len()
        );
        self.trace.service = view.map(|(name, _)| name.to_string());
        self.say("service", says);
        let client = (Addr::from(self.asked.from.addr), self.asked.client_port());
        let chosen = choice(tables, client, frontend);
        match live {
            Some(flow) => {
                self.say("flow", known(flow));
                self.kept(id, flow, chosen);
                self.unanswered(flow);
            }
            None => {
                self.say("flow", self.none_known());
                self.chosen(id, chosen);
            }
        }
    }

    fn none_known(&self) -> String {
        match self.asked.from.port {
            Some(_) => "the worker has no such connection: a new one begins".to_owned(),
            None => format!(
                "a new connection begins; no client port was given, so {} is taken: another may get another backend",
                self.asked.client_port()
            ),
        }
    }

    fn chosen(&mut self, service: FrontendId, chosen: Option<Choice>) {
        let Some(choice) = chosen else {
            return self.say("backend", "none takes new connections".into());
        };
        let Some(backend) = self.asked.tables.backends.get(choice.backend) else {
            return self.say("backend", "the one chosen is gone".into());
        };
        let at = SocketAddr::new(backend.addr.to_ip(), backend.port);
        self.trace.backend = Some(at);
        let members = self.asked.views.get(&service).map(|(_, view)| &view.members);
        let member = members.and_then(|all| all.iter().find(|one| one.id == choice.backend));
        let weight = member.map_or(0, |member| member.weight);
        let state = match choice.state {
            Some(BackendState::Active) => "active",
            Some(BackendState::Draining) => "draining",
            Some(BackendState::Gone) | None => "removed",
        };
        let (slot, size) = (choice.slot, choice.size);
        self.say(
            "backend",
            format!("{at}: Maglev slot {slot} of {size} is its own; weight {weight}, {state}"),
        );
    }

    fn kept(&mut self, service: FrontendId, flow: &KnownFlow, chosen: Option<Choice>) {
        let at = SocketAddr::new(flow.backend_at.0.to_ip(), flow.backend_at.1);
        self.chosen(service, chosen.filter(|choice| choice.backend == flow.backend));
        self.trace.backend = Some(at);
        let moved = chosen.is_none_or(|choice| choice.backend != flow.backend);
        // Nobody chose anew for a flow that stays.
        if let Some(step) = self.trace.steps.last_mut().filter(|step| step.at == "backend" && moved)
        {
            step.says = format!("{at}: the connection keeps it, a new one would get another");
        }
    }

    fn source(&mut self, flow: &KnownFlow, live: bool) {
        if flow.mode != Mode::Snat {
            return self
                .say("source", format!("the client's own address stays ({})", flow.mode.name()));
        }
        let Some(source) = self.asked.tables.snat.get(flow.snat) else { return };
        let port = if live { flow.snat_port } else { 0 };
        self.trace.source = Some(SocketAddr::new(source.addr.to_ip(), port));
        let (first, last) = (source.ports.start(), source.ports.end());
        let whose = if source.shared { ", which Linux uses too" } else { ", ours alone" };
        let says = if live {
            format!("{}, port {port}", source.addr)
        } else {
            format!("{}{whose}; a free port of {first}-{last} would be taken", source.addr)
        };
        self.say("source", says);
    }

    fn forward(&mut self, kind: Result<Kind, DropReason>, to: &Translate, pieces: Option<u16>) {
        if matches!(kind, Ok(Kind::Reply(_))) {
            let (src, dst) = (end(to.src), end(to.dst));
            self.say("rewrite", format!("to the client {dst}, from {src}, which it talks to"));
        }
        self.trace.verdict = Verdict::Forwarded;
        self.trace.mtu = self.mtu(to.dst.0);
        self.hand_to(&to.next, to.dst.0);
        if pieces.is_some() {
            self.say("out", "in pieces: it is larger than that".into());
        }
    }

    /// The neighbour that a packet to `dest` is handed to.
    fn hand_to(&mut self, next: &Hop, dest: Addr) {
        self.trace.next_hop = Some(next.addr.to_ip());
        let port = self.asked.tables.port(next.port).name.to_string();
        let way = if next.addr == dest { "itself" } else { "on the way" };
        match next.mac() {
            Some(mac) => self.say("next hop", format!("{} ({way}), MAC {mac}", next.addr)),
            None => {
                self.say(
                    "next hop",
                    format!(
                        "{} ({way}), whose MAC is not known: the packet waits for it, {WAITING_MS} ms at most",
                        next.addr
                    ),
                );
                self.end(DropReason::HopUnresolved, None);
                self.trace.verdict = Verdict::Waits;
            }
        }
        let mtu = self.trace.mtu;
        let limit = mtu.map_or_else(String::new, |mtu| format!(", {mtu} bytes a packet at most"));
        self.say("out", format!("through {port}{limit}"));
        self.trace.out_port = Some(port);
    }

    fn routed(&mut self, next: &Hop) {
        let to = Addr::from(self.asked.to.addr);
        self.trace.verdict = Verdict::Forwarded;
        self.trace.mtu = self.mtu(to);
        self.hand_to(next, to);
    }

    /// Largest packet towards `dest`.
    fn mtu(&self, dest: Addr) -> Option<u16> {
        let tables = &self.asked.tables;
        match tables.routing.resolve(dest, |port| tables.port(port).mtu) {
            HopRef::Via { mtu, .. } | HopRef::Ask { mtu, .. } => Some(mtu),
            HopRef::Unreachable => None,
        }
    }

    /// The reply that would come.
    pub(super) fn way_back(&mut self, fate: &Fate) {
        match fate {
            Fate::Forward(to, _) => {
                let port = &self.asked.tables.port(to.next.port).name;
                let mac = to.next.mac().map_or_else(
                    || "its MAC is asked for when the first reply comes".to_owned(),
                    |mac| format!("MAC {mac}"),
                );
                let mtu = self.mtu(to.dst.0).map_or(0, |mtu| mtu);
                let says = format!(
                    "replies leave through {port} by {}, {mac}, {mtu} bytes a packet at most",
                    to.next.addr
                );
                self.say("way back", says);
            }
            fate => {
                if let Some(reason) = fate.reason() {
                    self.say("way back", format!("replies would end here: {}", reason.name()));
                    self.end(reason, None);
                }
            }
        }
    }

    fn end(&mut self, reason: DropReason, told: Option<String>) {
        self.trace.verdict = if told.is_some() { Verdict::Refused } else { Verdict::Dropped };
        self.trace.reason = Some(reason.name().to_owned());
        self.trace.meaning = Some(reason.describe().trim().to_owned());
        self.advise(advice(reason));
        if let Some(told) = told {
            self.say("answer", told);
        }
    }
}

fn known(flow: &KnownFlow) -> String {
    format!(
        "the worker has it: {}, last packet {:.1} s ago, to {}",
        flow.state.name(),
        f64::from(flow.idle_ms) / 1_000.0,
        end(flow.backend_at)
    )
}

fn end((addr, port): (Addr, L4Port)) -> SocketAddr {
    SocketAddr::new(addr.to_ip(), port)
}

fn refused_with(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Reset => "the sender gets RST".into(),
        Refusal::PortUnreachable => "the sender gets port unreachable".into(),
        Refusal::TimeExceeded { from } => format!("the sender gets time exceeded from {from}"),
        Refusal::TooBig { mtu, .. } => format!("the sender is told to send {mtu} bytes at most"),
    }
}
