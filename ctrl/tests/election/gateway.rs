use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dataplane::time::BootTime;
use portreeve::kubernetes::api::lease::{Lease, MicroTime};
use portreeve::kubernetes::election::{
    Action, Election, Gateways, Now, OnApiLoss, Outcome, Seat, Seen, Terms, Timing, heartbeat_lease,
};

use super::{DURATION, RETRY};

/// A request on its way; the number tells it from earlier ones for the same lease.
#[derive(Debug, Clone)]
pub struct Request {
    pub lease: String,
    pub number: u64,
    pub sent: BootTime,
    pub action: Action,
}

/// One gateway.
pub struct Gateway {
    pub name: String,
    /// How much more its clock shows than that of the world, in nanoseconds.
    offset: u64,
    elections: BTreeMap<String, Election>,
    gateways: Gateways,
    /// Requests without an answer so far.
    pending: BTreeMap<String, Request>,
    requests: u64,
    pub willing: bool,
    pub dead: bool,
    pub paused_until: u64,
    pub cut_off_until: u64,
}

pub fn timing() -> Timing {
    let ms = Duration::from_millis;
    Timing { duration: ms(DURATION), renew: ms(1_000), retry: ms(RETRY) }
}

impl Gateway {
    pub fn new(name: &str, offset: u64, leases: &[String], on_api_loss: OnApiLoss) -> Self {
        let election = |lease: &String, on_api_loss| {
            let [namespace, me] = ["kube-system", name].map(str::to_owned);
            let seat = Seat { namespace, lease: lease.clone(), me };
            (lease.clone(), Election::new(seat, timing(), on_api_loss))
        };
        let mut elections: BTreeMap<_, _> =
            leases.iter().map(|lease| election(lease, on_api_loss)).collect();
        elections.extend([election(&heartbeat_lease(name), OnApiLoss::Release)]);
        Self {
            name: name.to_owned(),
            offset,
            elections,
            gateways: Gateways::new(name, timing()),
            pending: BTreeMap::new(),
            requests: 0,
            willing: true,
            dead: false,
            paused_until: 0,
            cut_off_until: 0,
        }
    }

    pub fn clock(&self, now: u64) -> BootTime {
        BootTime(self.offset + now * 1_000_000)
    }

    /// Until when it leads, by the clock of the world in nanoseconds.
    pub fn leads_until(&self, lease: &str) -> u64 {
        let deadline = self.elections[lease].deadline().get();
        if self.dead { 0 } else { deadline.0.saturating_sub(self.offset) }
    }

    pub fn see(&mut self, now: u64, name: &str, lease: Option<&Lease>, version: u64) {
        let now = self.clock(now);
        let seen = lease.map_or(Seen::Gone { version: Some(version) }, Seen::Lease);
        self.gateways.observe(now, name, seen);
        if let Some(election) = self.elections.get_mut(name) {
            election.observe(now, seen);
        }
    }

    /// An answer, or that there was none for too long. What was given up before is nobody's.
    pub fn finish(&mut self, now: u64, lease: &str, number: u64, outcome: Outcome) {
        if self.pending.get(lease).is_some_and(|request| request.number == number) {
            let (sent, now) = (self.pending.remove(lease).unwrap().sent, self.clock(now));
            self.elections.get_mut(lease).unwrap().finish(now, sent, outcome);
        }
    }

    /// What it sends now, and when it looks again, by the clock of the world in milliseconds.
    pub fn decide(&mut self, now: u64) -> (Vec<Request>, Option<u64>) {
        let boot = self.clock(now);
        let at = Now { boot, wall: MicroTime(format!("{} {}", self.name, boot.0)) };
        let candidates = self.gateways.candidates(boot);
        let alone = BTreeSet::from([self.name.clone()]);
        let mut looks: Vec<_> = self.gateways.next_change(boot).into_iter().collect();
        let mut sent = Vec::new();
        for (lease, election) in &mut self.elections {
            let is_heartbeat = *lease == heartbeat_lease(&self.name);
            let candidates = if is_heartbeat { &alone } else { &candidates };
            let terms = Terms { willing: self.willing, candidates };
            let decision = election.decide(&at, terms);
            looks.extend(decision.look);
            if decision.action != Action::Nothing {
                self.requests += 1;
                let action = decision.action;
                let (lease, number) = (lease.clone(), self.requests);
                sent.push(Request { lease, number, sent: boot, action });
            }
        }
        for request in &sent {
            let earlier = self.pending.insert(request.lease.clone(), request.clone());
            assert!(earlier.is_none(), "one request at a time");
        }
        let look = looks.into_iter().min().map(|look| (look.0 - self.offset).div_ceil(1_000_000));
        (sent, look)
    }
}
