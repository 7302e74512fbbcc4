use dataplane::flow::State;
use dataplane::pipeline::rehearse::KnownFlow;
use dataplane::tables::frontend::Mode;
use dataplane::tables::{SnatId, Stateless};

use super::{Walk, known};

impl Walk<'_> {
    /// A backend that sees the client answers it; where that goes is not up to us.
    pub(super) fn unanswered(&mut self, flow: &KnownFlow) {
        let (backend, client) = (flow.backend_at.0, flow.key.client);
        let nothing = matches!(
            flow.state,
            State::SynSent | State::UdpUnreplied | State::OneWaySyn | State::Resumed
        );
        match flow.mode {
            Mode::Nat if nothing => {
                self.say(
                    "reply",
                    format!("nothing has come back from {backend}: in mode nat its route to {client} must lead through this gateway"),
                );
                self.advise(format!("on {backend}: `ip route get {client}` must name an address of this gateway (its own, or a [[router]]); is something listening there?"));
            }
            Mode::DsrL2 if nothing => {
                self.say(
                    "reply",
                    format!("{client} has not gone on since its first packet: in mode dsr-l2 {backend} must have the VIP on a loopback"),
                );
                self.advise(format!("on {backend}: `ip address add VIP/32 dev lo`, arp_ignore = 1, arp_announce = 2; the service must listen there on the VIP's port"));
            }
            Mode::Snat | Mode::Nat | Mode::DsrL2 => {}
        }
    }

    pub(super) fn nat_reply(&mut self, stateless: Stateless, live: Option<&KnownFlow>) {
        self.say("source", "a backend of a service in mode nat, with the service's port".into());
        let id = match (live, stateless) {
            (Some(flow), _) => Some(flow.key.frontend),
            (None, Stateless::Reply(frontend, _)) => Some(frontend),
            (None, _) => None,
        };
        let name = id.and_then(|id| self.asked.views.get(&id));
        self.trace.service = name.map(|(name, _)| name.to_string());
        let says = match (live, stateless) {
            (Some(flow), _) => known(flow),
            (None, Stateless::Reply(..)) => {
                "no connection is known, but it can be of one service only".to_owned()
            }
            (None, Stateless::Ambiguous) => {
                "no connection is known, and it can be of several services".to_owned()
            }
            (None, Stateless::Route) => {
                "no connection is known: it is the backend's own".to_owned()
            }
        };
        self.say("flow", says);
    }

    pub(super) fn reply(&mut self, snat: SnatId, live: Option<&KnownFlow>) {
        let source = self.asked.tables.snat.get(snat).map(|source| source.addr);
        let source = source.map_or_else(String::new, |addr| addr.to_string());
        self.say("source", format!("{source} with this port is our end towards backends"));
        match live {
            Some(flow) => {
                let name = self.asked.views.get(&flow.key.frontend);
                self.trace.service = name.map(|(name, _)| name.to_string());
                self.say("flow", known(flow));
            }
            None => self.say("flow", "the worker has no connection with this port".into()),
        }
    }
}
