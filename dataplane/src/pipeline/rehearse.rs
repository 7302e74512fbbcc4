//! What would become of a packet, decided by the pipeline's own steps on flows that are thrown
//! away. Nothing is sent, and nothing that packets use changes; so what is said here is what a packet
//! gets, apart from what depends on the moment: full rings, used-up rates, a full flow table.

/// The packets that are asked about.
mod probe;

pub use probe::{Probe, What};

use super::classify::{self, Subject};
use super::context::{Ctx, Share};
use super::fetch::{forward_key, nat_key, reverse_key};
use super::limiter::Limiters;
use super::parse::parse;
use super::plan::{Plan, Refusal, Translate};
use super::stage;
use crate::addr::{Addr, Classes, L4Port, Mac, Proto};
use crate::counters::Counters;
use crate::drop_reason::DropReason;
use crate::flow::ports::Range;
use crate::flow::{
    FlowHash, FlowRef, FlowTable, FlowTableConfig, ForwardKey, NatKey, NewDirect, NewFlow,
    ReverseKey, State,
};
use crate::fragment::Idents;
use crate::tables::frontend::Mode;
use crate::tables::{
    BackendId, BackendState, Frontend, FrontendId, Hop, NatEnd, PortId, SnatId, Stateless, Tables,
};
use crate::time::{Clock, Tick};

/// A packet and what comes of it need one flow; a second has room beside it.
const FLOWS: FlowTableConfig = FlowTableConfig { flows: 64, pairs: 8 };

/// A flow table of its own beside the tables in force.
#[derive(Debug)]
pub struct Rehearsal<'t> {
    tables: &'t Tables,
    flows: FlowTable,
    counters: Counters,
    limiters: Limiters,
    idents: Idents,
    now: Tick,
}

/// What a packet is to us, by the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A question for the MAC of an address (ARP, NDP).
    Neighbour,
    /// A ping.
    Echo,
    /// From a client to this service.
    Service(FrontendId),
    /// From a backend to this source address.
    Reply(SnatId),
    /// From a backend in mode `nat`, with what it is when it belongs to no flow.
    NatReply(Stateless),
    /// From a backend in mode `nat`, to be forwarded as by a router.
    Route,
    /// To a port that is nothing to us.
    UnknownPort,
    /// An ICMP error or a fragment: what it is part of decides.
    Other,
}

/// What would become of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on with new addresses; in pieces when there is an MTU.
    Forward(Translate, Option<u16>),
    /// It goes on as it is.
    Route(Hop),
    /// It gets the answer that it asks for.
    Answer,
    /// It ends here, and its sender is told.
    Refuse(DropReason, Refusal),
    /// Its connection ends: both sides get RST.
    ResetBoth(DropReason),
    /// It ends here in silence.
    Drop(DropReason),
}

/// A flow of a worker, in the words of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFlow {
    /// How the client names it.
    pub key: ForwardKey,
    /// TCP or UDP.
    pub proto: Proto,
    /// How its packets reach the backend.
    pub mode: Mode,
    /// Our address towards the backend, in mode `snat`.
    pub snat: SnatId,
    /// Our port towards the backend, host order, in mode `snat`.
    pub snat_port: L4Port,
    /// The backend.
    pub backend: BackendId,
    /// Its address and port.
    pub backend_at: (Addr, L4Port),
    /// Where the connection stands.
    pub state: State,
    /// Milliseconds since its last packet.
    pub idle_ms: u32,
}

/// How packets of either direction name a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlowName {
    /// By the client.
    Forward(ForwardKey),
    /// By the backend.
    Reverse(ReverseKey),
    /// By the backend, in mode `nat`.
    Nat(NatKey),
}

impl FlowName {
    /// The flow of this name in `flows`.
    #[must_use]
    pub fn find(&self, flows: &FlowTable, now: Tick) -> Option<KnownFlow> {
        let place = match self {
            Self::Forward(key) => flows.find_forward(key, flows.prefetch_forward(key)),
            Self::Reverse(key) => flows.find_reverse(key, flows.prefetch_reverse(key)),
            Self::Nat(key) => flows.find_nat(key, flows.prefetch_nat(key)),
        }?;
        Some(KnownFlow::read(flows, place, now))
    }
}

impl KnownFlow {
    fn read(flows: &FlowTable, place: FlowRef, now: Tick) -> Self {
        let flow = flows.flow(place);
        let pair = flows.pair(flow.pair);
        let (frontend, client, client_port) = (flow.frontend, flow.client, flow.client_port);
        Self {
            key: ForwardKey { frontend, client, client_port },
            proto: flow.proto,
            mode: flow.mode,
            snat: pair.key.snat,
            snat_port: flow.snat_port,
            backend: pair.backend,
            backend_at: (pair.key.addr, pair.key.port),
            state: flow.state(),
            idle_ms: now.since(flow.seen),
        }
    }
}

impl<'t> Rehearsal<'t> {
    /// Nothing is known yet but the tables.
    #[must_use]
    pub fn new(tables: &'t Tables) -> Self {
        let now = Clock::start().now();
        let (flows, counters) = (FlowTable::new(FLOWS), Counters::new(0, 1));
        Self {
            tables,
            flows,
            counters,
            limiters: Limiters::new(now),
            idents: Idents::new(0, 1),
            now,
        }
    }

    /// Takes over a flow of a worker.
    ///
    /// # Errors
    /// When there is no room, which only a caller with many flows meets.
    pub fn know(&mut self, flow: &KnownFlow) -> Result<(), DropReason> {
        if flow.mode != Mode::Snat {
            return self.know_direct(flow);
        }
        let port = flow.snat_port;
        let (one, class) = (Classes::ONE, Classes::ONE.of(port));
        let new = NewFlow {
            key: flow.key,
            snat: flow.snat,
            ports: Range { first: port, last: port, classes: one, class },
            backend: flow.backend,
            backend_addr: flow.backend_at.0,
            backend_port: flow.backend_at.1,
            proto: flow.proto,
        };
        let hash = self.flows.prefetch_forward(&new.key);
        self.flows.insert(&new, hash, self.now).map(drop)
    }

    fn know_direct(&mut self, flow: &KnownFlow) -> Result<(), DropReason> {
        let (addr, port) = flow.backend_at;
        let end = NatEnd { addr, port, proto: flow.proto };
        let (key, mode, backend) = (flow.key, flow.mode, flow.backend);
        let new = NewDirect { key, mode, backend, end, opens: true };
        let hash = self.flows.prefetch_forward(&new.key);
        self.flows.insert_direct(&new, hash, self.now).map(drop).ok_or(DropReason::FlowTableFull)
    }

    /// The flow that packets of this name would find here.
    #[must_use]
    pub fn flow(&self, name: &FlowName) -> Option<KnownFlow> {
        name.find(&self.flows, self.now)
    }

    /// What would become of `frame`, received on `port`. As with a real packet, a flow that it
    /// begins is there for the next.
    pub fn run(&mut self, port: PortId, frame: &[u8]) -> (Result<Kind, DropReason>, Verdict) {
        let packet = parse(frame, frame.len());
        let subject = match classify::classify(self.tables, &Share::ALL, port, &packet) {
            Ok(subject) => subject,
            Err(reason) => return (Err(reason), Verdict::Drop(reason)),
        };
        let hash = match name(&subject) {
            Some(FlowName::Forward(key)) => self.flows.prefetch_forward(&key),
            Some(FlowName::Reverse(key)) => self.flows.prefetch_reverse(&key),
            Some(FlowName::Nat(key)) => self.flows.prefetch_nat(&key),
            None => FlowHash::default(),
        };
        let mut ctx = Ctx {
            tables: self.tables,
            flows: &mut self.flows,
            counters: &self.counters,
            port,
            vlan: 0,
            now: self.now,
            // Which worker has a flow changes nothing but the port that it takes.
            share: Share::ALL,
            limiters: &mut self.limiters,
            idents: &mut self.idents,
        };
        let mut plan = Plan::default();
        let verdict = match stage::stage(&mut ctx, &packet, &subject, hash, &mut plan) {
            Ok(()) => Verdict::of(self.tables, &plan),
            Err(reason) => Verdict::Drop(reason),
        };
        (Ok(Kind::of(&subject)), verdict)
    }
}

/// How `frame`, received on `port`, names the flow that it belongs to.
#[must_use]
pub fn flow_name(tables: &Tables, port: PortId, frame: &[u8]) -> Option<FlowName> {
    let packet = parse(frame, frame.len());
    name(&classify::classify(tables, &Share::ALL, port, &packet).ok()?)
}

fn name(subject: &Subject<'_>) -> Option<FlowName> {
    match *subject {
        Subject::Service(ip, transport, id, _) => {
            Some(FlowName::Forward(forward_key(ip, transport, id)))
        }
        Subject::Reply(ip, transport, id, _) => {
            Some(FlowName::Reverse(reverse_key(ip, transport, id)))
        }
        Subject::NatReply(ip, transport, _) => Some(FlowName::Nat(nat_key(ip, transport))),
        Subject::Arp(_)
        | Subject::Solicitation(..)
        | Subject::Echo(_)
        | Subject::Route(_)
        | Subject::Error(_)
        | Subject::Fragment(_)
        | Subject::UnknownPort(..)
        | Subject::Elsewhere(_) => None,
    }
}

impl Kind {
    fn of(subject: &Subject<'_>) -> Self {
        match *subject {
            Subject::Arp(_) | Subject::Solicitation(..) => Self::Neighbour,
            Subject::Echo(_) => Self::Echo,
            Subject::Service(_, _, id, _) => Self::Service(id),
            Subject::Reply(_, _, id, _) => Self::Reply(id),
            Subject::NatReply(_, _, stateless) => Self::NatReply(stateless),
            Subject::Route(_) => Self::Route,
            Subject::Error(_) | Subject::Fragment(_) => Self::Other,
            Subject::UnknownPort(..) => Self::UnknownPort,
            Subject::Elsewhere(_) => unreachable!("whose it is was asked, not which worker's"),
        }
    }
}

impl Verdict {
    fn of(tables: &Tables, plan: &Plan<'_>) -> Self {
        match *plan {
            Plan::AnswerArp(arp) if tables.deadlines.over(&arp.target) => {
                Self::Drop(DropReason::LeaseExpired)
            }
            Plan::AnswerSolicitation(_, target) if tables.deadlines.over(target) => {
                Self::Drop(DropReason::LeaseExpired)
            }
            Plan::Translate(_, translate) | Plan::Clamp(_, translate, _) => {
                Self::Forward(translate, None)
            }
            Plan::Route(_, next) => Self::Route(next),
            Plan::Fragment(_, translate, mtu) => Self::Forward(translate, Some(mtu)),
            Plan::AnswerArp(_) | Plan::AnswerSolicitation(..) | Plan::AnswerEcho(_) => Self::Answer,
            Plan::Refuse(_, reason, refusal) => Self::Refuse(reason, refusal),
            Plan::ResetBoth(_, reason, _) => Self::ResetBoth(reason),
            Plan::Undecided => unreachable!("stage decides or says why not"),
        }
    }

    /// Why it ends here; `None` when it does not.
    #[must_use]
    pub fn reason(&self) -> Option<DropReason> {
        match self {
            Self::Refuse(reason, _) | Self::ResetBoth(reason) | Self::Drop(reason) => Some(*reason),
            Self::Forward(..) | Self::Route(_) | Self::Answer => None,
        }
    }
}

/// How a new flow of a client would be given its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// The Maglev slot.
    pub slot: usize,
    /// Slots of the table.
    pub size: usize,
    /// What stands in it.
    pub backend: BackendId,
    /// Whether that takes new flows.
    pub state: Option<BackendState>,
}

/// The backend that a new flow of `client` to `frontend` would get; `None` without any.
#[must_use]
pub fn choice(tables: &Tables, client: (Addr, L4Port), frontend: &Frontend) -> Option<Choice> {
    let (maglev, slot) = stage::service::slot(tables, client, frontend)?;
    let backend = maglev.at(slot);
    let state = tables.backends.get(backend).map(|backend| backend.state);
    Some(Choice { slot, size: maglev.slots().len(), backend, state })
}

/// A MAC that no station has, for the sender of a packet whose MAC plays no role.
pub const SOMEBODY: Mac = Mac([0x02, 0, 0, 0, 0, 0xfe]);
