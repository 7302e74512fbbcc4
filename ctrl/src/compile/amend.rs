use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dataplane::tables::frontend::FrontendKey;
use dataplane::tables::{Backend, BackendId, Frontend, FrontendId, Frontends, Slab};

use super::change::Change;
use super::commit::{Last, kept};
use super::plan::Plan;
use super::{Compiled, Compiler, grave, hops};

impl Compiler {
    /// Does to the last outcome what `commit` would do, as far as `change` and the time touch it.
    /// The order is that of `commit`: what was removed is buried before ids are given out.
    pub(super) fn amend(&mut self, mut last: Last, mut change: Change, now: Duration) -> Compiled {
        let age = grave::age(&last.desired.timeouts);
        let over = self.bury_backends(&change, (now, age));
        let left = self.bury_members(&change, !over.is_empty(), (now, age));
        let moved = last.plan.count(&change) || change.neighbours.is_some();
        if let Some(neighbours) = change.neighbours.take() {
            last.topology.neighbours = neighbours;
        }
        if moved {
            self.amend_hops(&last);
        }
        last.desired.deadlines = Arc::clone(&change.deadlines);
        let tables = &mut self.memo.compiled.tables;
        tables.deadlines = kept(&tables.deadlines, change.deadlines.clone());
        self.amend_backends(&last.plan, &change, &over, moved);
        self.amend_frontends(&last.plan, &change, &left);
        self.amend_views(&change);
        for service in change.services {
            if service.troubles.is_empty() {
                last.plan.troubles.services.remove(&service.index);
            } else {
                last.plan.troubles.services.insert(service.index, service.troubles);
            }
            last.desired.services[service.index] = service.service;
            last.plan.frontends[service.index] = service.frontends;
        }
        self.memo.compiled.warnings = last.plan.troubles.warnings();
        self.memo.compiled.troubled = last.plan.troubles.of_services();
        self.memo.compiled.next_deadline = self.graves.next_deadline(age);
        self.memo.last = Some(last);
        self.memo.compiled.clone()
    }

    /// Buries backends that no frontend has any more; returns the ids of those that had their time.
    fn bury_backends(
        &mut self,
        change: &Change,
        (now, age): (Duration, Duration),
    ) -> Vec<BackendId> {
        let yard = &mut self.graves.backends;
        for (key, backend) in &change.backends {
            if backend.alive() {
                yard.exhume(key);
            } else {
                yard.bury(key, now);
            }
        }
        let over = yard.over(now, age);
        over.iter().filter_map(|key| self.backends.release(key)).collect()
    }

    /// Buries what left a frontend; returns frontends of which something has had its time.
    /// `gave_back` says that backends gave back ids.
    fn bury_members(
        &mut self,
        change: &Change,
        gave_back: bool,
        (now, age): (Duration, Duration),
    ) -> BTreeSet<FrontendKey> {
        for frontend in change.services.iter().flat_map(|service| &service.frontends) {
            for (backend, _) in &frontend.members {
                self.graves.left.exhume(&(frontend.key, *backend));
            }
            for pair in self.memo.remember(frontend) {
                self.graves.left.bury(&pair, now);
            }
        }
        let had_time = self.graves.left.over(now, age);
        let mut touched: BTreeSet<FrontendKey> = had_time.into_iter().map(|(key, _)| key).collect();
        if gave_back {
            touched.extend(self.forget_left());
        }
        touched
    }

    fn amend_hops(&mut self, last: &Last) {
        let routing = self.build_routing(&last.plan, &last.topology);
        let neighbours = hops::neighbours(&last.plan.hops, &last.plan.ports);
        let compiled = &mut self.memo.compiled;
        compiled.tables.routing = routing;
        compiled.wanted_neighbours = kept(&compiled.wanted_neighbours, neighbours);
    }

    /// `moved` says that hops may have changed: what is left of removed backends may go another way now.
    fn amend_backends(&mut self, plan: &Plan, change: &Change, over: &[BackendId], moved: bool) {
        let routing = Arc::clone(&self.memo.compiled.tables.routing);
        let mut edits: Vec<(BackendId, Option<Backend>)> =
            over.iter().map(|id| (*id, None)).collect();
        for key in &change.order {
            let backend = &change.backends[key];
            if backend.alive() {
                let built = self.backend(plan, &routing, key, backend);
                edits.extend(self.backends.id_of(key).map(|id| (id, Some(built))));
            }
        }
        let dead = change.order.iter().filter(|key| !change.backends[key].alive());
        let others = self.graves.backends.keys().filter(|_| moved);
        for (id, stone) in dead.chain(others).filter_map(|key| self.tombstone(plan, &routing, key))
        {
            edits.push((id, Some(stone)));
        }
        edit(&mut self.memo.compiled.tables.backends, edits);
    }

    fn amend_frontends(&mut self, plan: &Plan, change: &Change, left: &BTreeSet<FrontendKey>) {
        let mut built: Vec<(FrontendId, Arc<Frontend>)> = Vec::new();
        for key in left {
            let Some(id) = self.frontends.get(key) else { continue };
            let Some(former) = self.memo.compiled.tables.frontends.share(id) else { continue };
            let left = self.left(key);
            if !former.gone && former.left != left {
                built.push((id, Arc::new(Frontend { left, ..Frontend::clone(&former) })));
            }
        }
        for frontend in change.services.iter().flat_map(|service| &service.frontends) {
            built.push(self.frontend(plan, frontend));
        }
        // After the new ones were asked for: a table that is used again is not built again.
        for service in &change.services {
            for former in &self.memo.compiled.services[service.index].frontends {
                let members = former.members.iter().map(|member| (member.id, member.weight));
                self.memo.maglev.release(former.table_size, members);
            }
        }
        replace(&mut self.memo.compiled.tables.frontends, built);
    }

    fn amend_views(&mut self, change: &Change) {
        for service in &change.services {
            let view = Arc::new(self.view(&service.service, &service.frontends));
            Arc::make_mut(&mut self.memo.compiled.services)[service.index] = view;
        }
    }
}

impl Plan {
    /// Takes over backends as they are after `change`; whether that changes the set of hops.
    fn count(&mut self, change: &Change) -> bool {
        let mut moved = false;
        for (key, after) in &change.backends {
            let before = if after.alive() {
                self.backends.by_key.insert(*key, *after)
            } else {
                self.backends.by_key.remove(key)
            };
            if let Some(hop) = after.hop.filter(|_| before.is_some() != after.alive()) {
                moved |= if after.alive() { self.hops.add(hop) } else { self.hops.end(&hop) };
            }
        }
        self.sources.clone_from(&change.sources);
        moved
    }
}

/// Copies the slab only when an edit differs from what is there.
fn edit(slab: &mut Arc<Slab<Backend>>, mut edits: Vec<(BackendId, Option<Backend>)>) {
    edits.retain(|(id, backend)| slab.get(*id) != backend.as_ref());
    if edits.is_empty() {
        return;
    }
    let mut next = slab.copied();
    for (id, backend) in edits {
        match backend {
            Some(backend) => next.insert(id, backend),
            None => next.remove(id),
        }
    }
    *slab = Arc::new(next);
}

/// The same for frontends, which are compared by pointer.
fn replace(frontends: &mut Arc<Frontends>, mut built: Vec<(FrontendId, Arc<Frontend>)>) {
    built.retain(|(id, new)| !frontends.share(*id).is_some_and(|old| Arc::ptr_eq(&old, new)));
    if built.is_empty() {
        return;
    }
    let frontends = Arc::make_mut(frontends);
    for (id, frontend) in built {
        frontends.replace(id, frontend);
    }
}

#[cfg(test)]
mod tests;
