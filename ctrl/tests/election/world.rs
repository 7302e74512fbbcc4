use std::collections::BTreeMap;

use portreeve::kubernetes::api::lease::Lease;
use portreeve::kubernetes::election::{OnApiLoss, Outcome, heartbeat_lease, preferred};

use super::gateway::{Gateway, Request};
use super::server::Server;

pub const GATEWAYS: usize = 3;
pub const LEASES: usize = 6;
/// After so many milliseconds a gateway gives an answer up; where all is rough, it is more patient.
const PATIENCE: [u64; 2] = [500, 2_500];

/// Something goes wrong.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// When, in milliseconds.
    pub at: u64,
    pub trouble: Trouble,
}

/// What goes wrong, and for how many milliseconds.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// A gateway is stopped, and goes on as it was.
    Pause(usize, u64),
    /// Neither requests nor news pass between a gateway and the server.
    Partition(usize, u64),
    /// A gateway must not lead.
    Stall(usize, u64),
    /// A gateway dies, and starts anew.
    Death(usize, u64),
    /// No gateway reaches the server.
    ServerGone(u64),
}

#[derive(Debug, Clone)]
enum Event {
    Trouble(Trouble),
    Willing(usize),
    Born(usize),
    Look(usize),
    /// A request of a gateway has come to the server.
    Arrived(usize, Request),
    Answered(usize, String, u64, Outcome),
    News(usize, String, Option<Lease>, u64),
}

/// Everything, and what will happen by time and in order.
pub struct World {
    pub server: Server,
    /// Requests and answers are slow or get lost.
    pub rough: bool,
    gateways: Vec<Gateway>,
    leases: Vec<String>,
    on_api_loss: OnApiLoss,
    now: u64,
    events: BTreeMap<(u64, u64), Event>,
    order: u64,
    random: u64,
    /// When the last news for a gateway comes: news do not overtake each other.
    last_news: [u64; GATEWAYS],
    /// When each gateway looks next.
    looks: [u64; GATEWAYS],
}

impl World {
    pub fn new(seed: u64, on_api_loss: OnApiLoss) -> Self {
        let leases: Vec<_> =
            (1..=LEASES).map(|n| format!("cilium-l2announce-default-svc{n}")).collect();
        let mut world = Self {
            server: Server::default(),
            rough: false,
            gateways: Vec::new(),
            leases,
            on_api_loss,
            now: 0,
            events: BTreeMap::new(),
            order: 0,
            random: seed,
            last_news: [0; GATEWAYS],
            looks: [0; GATEWAYS],
        };
        for n in 0..GATEWAYS {
            let gateway = world.gateway(n);
            world.gateways.push(gateway);
            world.list(n);
        }
        world
    }

    fn gateway(&mut self, n: usize) -> Gateway {
        // Machines were started at any time.
        let offset = self.below(1_000_000) * 1_000_000_000;
        Gateway::new(&format!("gw{n}"), offset, &self.leases, self.on_api_loss)
    }

    pub fn plan(&mut self, faults: &[Fault]) {
        for Fault { at, trouble } in faults {
            self.later(*at, Event::Trouble(*trouble));
        }
    }

    /// Who leads, by lease.
    pub fn leaders(&self) -> Vec<Option<usize>> {
        let leads =
            |lease: &String, n: &usize| self.gateways[*n].leads_until(lease) > self.now * 1_000_000;
        self.leases.iter().map(|lease| (0..GATEWAYS).find(|n| leads(lease, n))).collect()
    }

    /// Who would lead if all gateways were there, by lease.
    pub fn preferred(&self) -> Vec<Option<usize>> {
        let names: Vec<_> = self.gateways.iter().map(|gateway| gateway.name.as_str()).collect();
        let of = |lease: &String| {
            let first = preferred(lease, names.iter().copied());
            names.iter().position(|name| Some(*name) == first)
        };
        self.leases.iter().map(of).collect()
    }

    pub fn run_until(&mut self, until: u64) {
        while let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= until) {
            let ((at, _), event) = next.remove_entry();
            self.now = self.now.max(at);
            self.happen(event);
            self.assert_one_leads();
        }
        self.now = until;
    }

    fn assert_one_leads(&self) {
        if self.on_api_loss == OnApiLoss::Hold {
            return;
        }
        for lease in &self.leases {
            let until = self.gateways.iter().map(|gateway| gateway.leads_until(lease));
            let leading = until.clone().filter(|until| *until > self.now * 1_000_000).count();
            assert!(leading < 2, "{lease} at {}: {:?}", self.now, Vec::from_iter(until));
        }
    }

    fn happen(&mut self, event: Event) {
        if let Event::Look(n) | Event::Answered(n, ..) | Event::News(n, ..) = event
            && self.gateways[n].paused_until > self.now
        {
            // It finds it when it goes on.
            return self.later(self.gateways[n].paused_until, event);
        }
        match event {
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Willing(n) => {
                self.gateways[n].willing = true;
                self.step(n);
            }
            Event::Born(n) => {
                self.gateways[n] = self.gateway(n);
                self.list(n);
            }
            Event::Look(n) if self.looks[n] > self.now => {}
            Event::Look(n) => self.step(n),
            Event::Arrived(n, request) => self.arrived(n, request),
            Event::Answered(n, lease, number, outcome) => {
                self.gateways[n].finish(self.now, &lease, number, outcome);
                self.step(n);
            }
            Event::News(n, name, lease, version) => {
                self.gateways[n].see(self.now, &name, lease.as_ref(), version);
                self.step(n);
            }
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        let until = |ms: u64| self.now + ms;
        match trouble {
            Trouble::Pause(n, ms) => self.gateways[n].paused_until = until(ms),
            Trouble::Partition(n, ms) => self.gateways[n].cut_off_until = until(ms),
            Trouble::ServerGone(ms) => {
                let until = until(ms);
                self.gateways.iter_mut().for_each(|gateway| gateway.cut_off_until = until);
            }
            Trouble::Stall(n, ms) => {
                self.later(until(ms), Event::Willing(n));
                self.gateways[n].willing = false;
                self.looks[n] = self.now;
                self.later(self.now, Event::Look(n));
            }
            Trouble::Death(n, ms) => {
                self.later(until(ms), Event::Born(n));
                self.gateways[n].dead = true;
            }
        }
    }

    /// A gateway that starts reads all leases.
    fn list(&mut self, n: usize) {
        let heartbeats = (0..GATEWAYS).map(|other| heartbeat_lease(&format!("gw{other}")));
        let names: Vec<_> = self.leases.iter().cloned().chain(heartbeats).collect();
        for name in names {
            let lease = self.server.get(&name).cloned();
            self.tell(n, name, lease, self.server.version);
        }
    }

    fn step(&mut self, n: usize) {
        if self.gateways[n].dead {
            return;
        }
        let (requests, look) = self.gateways[n].decide(self.now);
        for request in requests {
            let (lease, number) = (request.lease.clone(), request.number);
            let given_up = Event::Answered(n, lease, number, Outcome::Unreachable);
            self.later(self.now + PATIENCE[usize::from(self.rough)], given_up);
            if !self.is_lost(n) {
                let at = self.now + self.latency();
                self.later(at, Event::Arrived(n, request));
            }
        }
        if let Some(look) = look.map(|look| look.max(self.now + 1))
            && self.looks[n] != look
        {
            self.looks[n] = look;
            self.later(look, Event::Look(n));
        }
    }

    fn arrived(&mut self, n: usize, request: Request) {
        let (outcome, change) = self.server.serve(self.now, &request.lease, &request.action);
        if !self.is_lost(n) {
            let at = self.now + self.latency();
            self.later(at, Event::Answered(n, request.lease.clone(), request.number, outcome));
        }
        if let Some(lease) = change {
            for other in 0..GATEWAYS {
                self.tell(other, request.lease.clone(), Some(lease.clone()), self.server.version);
            }
        }
    }

    /// News come late, but they come.
    fn tell(&mut self, n: usize, name: String, lease: Option<Lease>, version: u64) {
        let soonest = self.now.max(self.gateways[n].cut_off_until) + self.latency();
        self.last_news[n] = soonest.max(self.last_news[n]);
        self.later(self.last_news[n], Event::News(n, name, lease, version));
    }

    fn is_lost(&mut self, n: usize) -> bool {
        self.gateways[n].cut_off_until > self.now || self.rough && self.below(20) == 0
    }

    fn latency(&mut self) -> u64 {
        if self.rough && self.below(20) == 0 { self.below(6_000) } else { 1 + self.below(20) }
    }

    fn later(&mut self, at: u64, event: Event) {
        self.order += 1;
        self.events.insert((at, self.order), event);
    }

    /// SplitMix64.
    fn below(&mut self, end: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}
