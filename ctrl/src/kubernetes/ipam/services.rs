use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::keep::{Occasion, adopt_listed, drop_unfit, enter_listed};
use super::ledger::Ledger;
use super::request::Request;
use super::satisfy::satisfy;
use super::view::{Statement, View};
use super::{Ipam, ServiceWrite, Writes};
use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::api::service::Service;

/// The services that we are responsible for.
#[derive(Debug, Default)]
pub struct Views {
    all: BTreeMap<Key, View>,
    /// Those that do not have what they ask for.
    waiting: BTreeSet<Key>,
    /// Those of which something may have to be written.
    touched: BTreeSet<Key>,
}

impl Views {
    /// Where they are.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.all.keys()
    }

    /// Each of them.
    pub fn all(&self) -> impl Iterator<Item = &View> {
        self.all.values()
    }

    /// Those that have one of these addresses: the waiting ones first, then the others, each by
    /// age.
    #[must_use]
    pub fn holders(&self, addresses: &BTreeSet<IpAddr>) -> Vec<Key> {
        let holds = |view: &&View| view.held.iter().any(|held| addresses.contains(held));
        let (mut waiting, satisfied) = self.by_age(self.all.values().filter(holds));
        waiting.extend(satisfied);
        waiting
    }

    /// Takes addresses from whoever has them.
    pub fn forget(&mut self, addresses: &BTreeSet<IpAddr>) {
        for view in self.all.values_mut() {
            view.held.retain(|held| !addresses.contains(held));
        }
    }

    /// Looks anew at what a service lists, and gives it what it lacks then.
    pub fn revise(&mut self, ledger: &mut Ledger, key: &Key) {
        self.with(key, |view| {
            adopt_listed(ledger, view, Occasion::Change);
            if !view.is_satisfied() {
                satisfy(ledger, view);
            }
        });
    }

    /// Notes what is to be written because it is not on the objects.
    pub fn collect(&mut self, writes: &mut Writes) {
        for key in std::mem::take(&mut self.touched) {
            let Some(view) = self.all.get_mut(&key) else { continue };
            if view.shown != view.wanted {
                view.shown.clone_from(&view.wanted);
                let Statement { ingress, condition } = view.wanted.clone();
                let uid = view.metadata.uid.clone();
                writes.services.insert(key, ServiceWrite { uid, ingress, condition });
            }
        }
    }

    /// Does something to a service.
    fn with(&mut self, key: &Key, change: impl FnOnce(&mut View)) {
        let Some(view) = self.all.get_mut(key) else { return };
        change(view);
        self.touched.insert(key.clone());
        if view.is_satisfied() {
            self.waiting.remove(key);
        } else {
            self.waiting.insert(key.clone());
        }
    }

    fn remove(&mut self, key: &Key) -> Option<View> {
        self.waiting.remove(key);
        self.all.remove(key)
    }

    /// The waiting ones and the others, each by age, then namespace and name.
    fn by_age<'a>(&self, views: impl Iterator<Item = &'a View>) -> (Vec<Key>, Vec<Key>) {
        let mut views: Vec<&View> = views.collect();
        views.sort_by(|a, b| a.metadata.seniority().cmp(&b.metadata.seniority()));
        views.into_iter().map(|view| view.key.clone()).partition(|key| self.waiting.contains(key))
    }
}

impl Ipam {
    /// Notes a service while nothing is done to any.
    pub(super) fn note_service(&mut self, service: &Service) {
        let key = service.metadata.key();
        self.views.remove(&key);
        if self.settings.are_responsible_for(service) {
            let view = View::new(service, Request::read(service, &self.settings));
            self.views.all.insert(key.clone(), view);
            self.views.with(&key, |_| {});
        }
    }

    /// Looks at one service: takes from it what it may not keep and gives it what it lacks.
    pub(super) fn set_service(&mut self, service: &Service, writes: &mut Writes) {
        let key = service.metadata.key();
        if !self.settings.are_responsible_for(service) {
            self.give_up(&key, service, writes);
            return;
        }
        let request = Request::read(service, &self.settings);
        let ledger = &mut self.ledger;
        let view = self.views.all.entry(key.clone());
        let view = view.or_insert_with(|| View::new(service, request.clone()));
        view.update(service, request);
        for &address in &view.held {
            ledger.set_terms(address, &key, &view.request.terms);
        }
        self.views.with(&key, |view| drop_unfit(ledger, view));
        self.views.revise(ledger, &key);
    }

    /// A service that was ours and is not any more is left as if we had never been there.
    fn give_up(&mut self, key: &Key, service: &Service, writes: &mut Writes) {
        if !self.remove_services(std::slice::from_ref(key)) {
            return;
        }
        let shown = Statement::read(service);
        if shown != Statement::default() {
            let uid = service.metadata.uid.clone();
            let write = ServiceWrite { uid, ingress: Vec::new(), condition: None };
            writes.services.insert(key.clone(), write);
        }
    }

    /// Frees what services had that are gone.
    pub(super) fn remove_services(&mut self, keys: &[Key]) -> bool {
        let known = keys.iter().filter_map(|key| self.views.all.get(key));
        let (waiting, satisfied) = self.views.by_age(known);
        let mut some = false;
        for key in satisfied.iter().chain(&waiting) {
            let Some(view) = self.views.remove(key) else { continue };
            view.held.iter().for_each(|&address| self.ledger.leave(address, key));
            some = true;
        }
        some
    }

    /// Tries again to give those what they lack who wait: if pools changed, or if there is news of
    /// addresses.
    pub(super) fn serve_waiting(&mut self, pools_changed: bool) {
        let news = std::mem::take(&mut self.ledger.news);
        if !self.awake || !(news || pools_changed) {
            return;
        }
        let waiting = self.views.waiting.iter().filter_map(|key| self.views.all.get(key));
        for key in self.views.by_age(waiting).0 {
            self.views.with(&key, |view| satisfy(&mut self.ledger, view));
        }
    }

    /// Looks at all services: those first that have what they ask for, so that nobody is given what
    /// they list; and at what they lack only when all that is listed has been entered.
    pub(super) fn revalidate(&mut self, occasion: Occasion) {
        let (waiting, satisfied) = self.views.by_age(self.views.all());
        let order: Vec<Key> = satisfied.into_iter().chain(waiting).collect();
        if occasion == Occasion::Start {
            for key in &order {
                self.views.with(key, |view| enter_listed(&mut self.ledger, view));
            }
        }
        for key in &order {
            self.views.with(key, |view| {
                drop_unfit(&mut self.ledger, view);
                adopt_listed(&mut self.ledger, view, occasion);
            });
        }
        for key in &order {
            self.views.with(key, |view| {
                if !view.is_satisfied() {
                    satisfy(&mut self.ledger, view);
                }
            });
        }
    }
}
