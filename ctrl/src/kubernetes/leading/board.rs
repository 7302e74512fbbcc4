use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use dataplane::time::BootTime;
use tokio::sync::watch;

use super::Standing;
use super::order::{Entry, Field, Order};
use super::requests::Answer;
use crate::kubernetes::api::lease::{Lease, MicroTime};
use crate::kubernetes::election::{Action, Election, Gateways, Now, Seen, Terms, Timing};

/// Requests that are on their way at once, besides those that give a lease up.
const MOST: usize = 16;

/// All elections of this gateway: what is told to them, and what they ask for. It has no connection.
#[derive(Debug)]
pub struct Board {
    me: BTreeSet<String>,
    timing: Timing,
    /// `timing` was told.
    timed: bool,
    gateways: Gateways,
    /// As seen at the last step.
    candidates: BTreeSet<String>,
    /// Leases as a watch told them; `None` before the first list.
    known: Option<BTreeMap<String, Lease>>,
    races: BTreeMap<Arc<str>, Race>,
    on_their_way: usize,
    /// Everything is given up.
    resigned: bool,
}

/// One election.
#[derive(Debug)]
struct Race {
    id: u64,
    election: Election,
    field: Field,
    report: watch::Sender<Standing>,
    /// `None` before that is known.
    willing: Option<bool>,
    /// Nobody wants to know of it any more.
    withdrawn: bool,
    /// Its request is on its way.
    busy: bool,
    /// Something has happened since it decided last.
    touched: bool,
    look: Option<BootTime>,
    refused: Option<String>,
}

/// A request that an election asks for.
#[derive(Debug)]
pub struct Wish {
    /// Name of the lease.
    pub lease: Arc<str>,
    /// Of which election.
    pub id: u64,
    /// What to do.
    pub action: Action,
}

impl Board {
    /// Without any election, on the gateway of node `me`. Nothing is done before it is told how long
    /// leases last.
    pub fn new(me: &str) -> Self {
        let timing = Timing::default();
        Self {
            me: BTreeSet::from([me.to_owned()]),
            timing,
            timed: false,
            gateways: Gateways::new(me, timing),
            candidates: BTreeSet::new(),
            known: None,
            races: BTreeMap::new(),
            on_their_way: 0,
            resigned: false,
        }
    }

    /// How long leases last.
    pub const fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Takes over what was told at `now`.
    pub fn take(&mut self, now: BootTime, order: Order) {
        match order {
            Order::Enter(entry) => self.enter(now, *entry),
            Order::Will(lease, id, willing) => self.race(&lease, id, |race| {
                race.willing = Some(willing);
            }),
            Order::Withdraw(lease, id) => self.race(&lease, id, |race| {
                (race.willing, race.withdrawn) = (Some(false), true);
            }),
            Order::All(leases, version) => self.replace(now, leases, version),
            Order::Changed(lease) => {
                self.observe(now, &lease.metadata.name, Seen::Lease(&lease));
                if let Some(known) = &mut self.known {
                    known.insert(lease.metadata.name.clone(), lease);
                }
            }
            Order::Gone(name, version) => {
                self.observe(now, &name, Seen::Gone { version });
                if let Some(known) = &mut self.known {
                    known.remove(&name);
                }
            }
            Order::Retime(timing) => self.retime(timing),
            Order::Resign => self.resigned = true,
        }
    }

    fn enter(&mut self, now: BootTime, entry: Entry) {
        let Entry { lease, id, mut election, field, report } = entry;
        election.retime(self.timing);
        if let Some(known) = &self.known {
            let seen = known.get(&*lease).map_or(Seen::Gone { version: None }, Seen::Lease);
            election.observe(now, seen);
        }
        let race = Race {
            id,
            election,
            field,
            report,
            willing: None,
            withdrawn: false,
            busy: false,
            touched: true,
            look: None,
            refused: None,
        };
        if let Some(before) = self.races.insert(lease, race) {
            before.election.deadline().set(BootTime::default());
        }
    }

    fn race(&mut self, lease: &str, id: u64, change: impl FnOnce(&mut Race)) {
        if let Some(race) = self.races.get_mut(lease).filter(|race| race.id == id) {
            change(race);
            race.touched = true;
        }
    }

    fn replace(&mut self, now: BootTime, leases: BTreeMap<String, Lease>, version: Option<u64>) {
        for lease in self.known.take().unwrap_or_default().into_keys() {
            if !leases.contains_key(&lease) {
                self.gateways.observe(now, &lease, Seen::Gone { version });
            }
        }
        for (name, lease) in &leases {
            self.gateways.observe(now, name, Seen::Lease(lease));
        }
        for (name, race) in &mut self.races {
            let seen = leases.get(&**name).map_or(Seen::Gone { version }, Seen::Lease);
            race.election.observe(now, seen);
            race.touched = true;
        }
        self.known = Some(leases);
    }

    fn observe(&mut self, now: BootTime, lease: &str, seen: Seen<'_>) {
        self.gateways.observe(now, lease, seen);
        if let Some(race) = self.races.get_mut(lease) {
            race.election.observe(now, seen);
            race.touched = true;
        }
    }

    fn retime(&mut self, timing: Timing) {
        self.timing = timing.sane();
        self.timed = true;
        self.gateways.retime(timing);
        for race in self.races.values_mut() {
            race.election.retime(timing);
            race.touched = true;
        }
    }

    /// Takes over what became of a request that was sent at `sent`.
    pub fn finish(&mut self, now: BootTime, lease: &str, id: u64, sent: BootTime, answer: Answer) {
        self.on_their_way -= 1;
        self.race(lease, id, |race| {
            race.busy = false;
            if let Some(why) =
                answer.refused.as_ref().filter(|why| race.refused.as_ref() != Some(why))
            {
                tracing::warn!(lease, "the API server does not let us write the lease: {why}");
            }
            race.refused = answer.refused;
            race.election.finish(now, sent, answer.outcome);
        });
    }

    /// What is to be done at `now`. Says of each election how it stands, and whether any of them stands
    /// otherwise than before.
    pub fn step(&mut self, now: BootTime) -> (Vec<Wish>, bool) {
        if !self.timed {
            return (Vec::new(), false);
        }
        let candidates = self.gateways.candidates(now);
        let others = candidates != self.candidates;
        self.candidates = candidates;
        let now = Now { boot: now, wall: MicroTime::from(SystemTime::now()) };
        let (mut wishes, mut moved) = (Vec::new(), false);
        for (lease, race) in &mut self.races {
            race.touched |= others;
            if self.resigned && race.willing.is_none_or(|willing| willing) {
                (race.willing, race.touched) = (Some(false), true);
            }
            let Some(willing) = race.willing.filter(|_| race.is_due(now.boot)) else { continue };
            if willing && self.on_their_way >= MOST {
                continue;
            }
            race.touched = false;
            let candidates = match race.field {
                Field::Alone => &self.me,
                Field::Gateways => &self.candidates,
            };
            let action = race.decide(&now, Terms { willing, candidates });
            moved |= race.tell(now.boot);
            if action != Action::Nothing {
                self.on_their_way += 1;
                wishes.push(Wish { lease: Arc::clone(lease), id: race.id, action });
            }
        }
        self.races.retain(|_, race| !race.is_over());
        (wishes, moved)
    }

    /// When to look again even if nothing happens.
    pub fn next_look(&self, now: BootTime) -> Option<BootTime> {
        if !self.timed {
            return None;
        }
        let full = self.on_their_way >= MOST;
        let waiting = self.races.values().filter(|race| match race.willing {
            Some(willing) => !willing || !full,
            None => false,
        });
        waiting.filter_map(|race| race.look).chain(self.gateways.next_change(now)).min()
    }
}

impl Race {
    fn is_due(&self, now: BootTime) -> bool {
        self.touched || self.look.is_some_and(|look| look <= now)
    }

    fn decide(&mut self, now: &Now, terms: Terms<'_>) -> Action {
        let decision = self.election.decide(now, terms);
        let ends = self.election.deadline().get();
        // What is told of it changes when our time, or that of the holder, is over.
        let ends = self.election.leads(now.boot).then_some(ends);
        let others = self.election.held_until(now.boot);
        self.look = decision.look.into_iter().chain(ends).chain(others).min();
        self.busy |= decision.action != Action::Nothing;
        decision.action
    }

    /// Says how it stands; whether that is news.
    fn tell(&self, now: BootTime) -> bool {
        let standing = Standing {
            leads: self.election.leads(now),
            holder: self.election.holder().map(str::to_owned),
            taken: self.election.held_until(now).is_some(),
            refused: self.refused.clone(),
        };
        self.report.send_if_modified(|before| {
            let news = *before != standing;
            *before = standing;
            news
        })
    }

    /// Nobody wants to know of it, and the lease is not ours.
    fn is_over(&self) -> bool {
        self.withdrawn && !self.busy && !self.election.holds()
    }
}

#[cfg(test)]
mod tests;
