use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use dataplane::tables::frontend::{FrontendKey, Mode};
use dataplane::tables::{NatBackends, NatEnd, Stateless};

use super::commit::kept;
use super::grave::LINGER;
use super::plan::Plan;
use super::{BackendKey, Compiler};

/// How a backend's packets say whose they are.
const fn end(key: &BackendKey) -> NatEnd {
    let (addr, port, proto) = *key;
    NatEnd { addr, port, proto }
}

impl Compiler {
    /// Backends that left mode `nat` linger: what they send is still told from the host's traffic,
    /// so that both ends of their flows hear of it.
    pub(super) fn bury_nat(&mut self, plan: &Plan, now: Duration) {
        let nat = plan.frontends.iter().flatten().filter(|frontend| frontend.mode == Mode::Nat);
        let live: HashMap<NatEnd, ()> =
            nat.flat_map(|f| &f.members).map(|(key, _)| (end(key), ())).collect();
        let known: Vec<NatEnd> =
            self.memo.compiled.tables.nat_backends.iter().map(|(end, _)| *end).collect();
        self.graves.nat.update(&known, |end| live.contains_key(end), now, LINGER);
    }

    /// Every backend in mode `nat`, and what its packets without a flow are.
    pub(super) fn build_nat(&self, plan: &Plan) -> Arc<NatBackends> {
        let mut uses: HashMap<NatEnd, Vec<(FrontendKey, BackendKey, bool)>> = HashMap::new();
        for frontend in
            plan.frontends.iter().flatten().filter(|frontend| frontend.mode == Mode::Nat)
        {
            for (key, _) in &frontend.members {
                let one = (frontend.key, *key, frontend.stateless_replies);
                uses.entry(end(key)).or_default().push(one);
            }
        }
        let gone = self.graves.nat.keys().map(|end| (*end, Stateless::Route));
        let live = uses.into_iter().map(|(end, uses)| (end, self.stateless(&uses)));
        let new: NatBackends = gone.chain(live).collect();
        kept(&self.memo.compiled.tables.nat_backends, Arc::new(new))
    }

    fn stateless(&self, uses: &[(FrontendKey, BackendKey, bool)]) -> Stateless {
        if uses.iter().all(|(.., wanted)| !wanted) {
            return Stateless::Route;
        }
        let [(frontend, backend, _)] = uses else { return Stateless::Ambiguous };
        match (self.frontends.get(frontend), self.backends.get(backend)) {
            (Some(frontend), Some(backend)) => Stateless::Reply(frontend, backend),
            _ => Stateless::Ambiguous,
        }
    }
}
