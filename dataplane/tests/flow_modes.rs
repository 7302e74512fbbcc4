//! Flows of all modes in one table: each is found by the names that its mode has for it, and by no
//! others, and gives back everything that it took.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use portreeve_dataplane::addr::{Addr, Classes, Proto};
use portreeve_dataplane::flow::pair::PairKey;
use portreeve_dataplane::flow::ports::Range;
use portreeve_dataplane::flow::{
    FlowRef, FlowTable, FlowTableConfig, ForwardKey, NatKey, NewDirect, NewFlow, ReverseKey,
};
use portreeve_dataplane::tables::frontend::Mode;
use portreeve_dataplane::tables::{BackendId, FrontendId, NatEnd, SnatId};
use portreeve_dataplane::time::Tick;
use proptest::prelude::*;

const MODES: [Mode; 3] = [Mode::Snat, Mode::Nat, Mode::DsrL2];
const PAIRS: usize = 8;

/// One flow: which client, to which of four backends, in which mode and family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Wish {
    client: u8,
    backend: u8,
    mode: u8,
    v6: bool,
}

impl Wish {
    fn addr(self, net: u8, last: u8) -> Addr {
        match self.v6 {
            false => Addr::v4([10, net, 0, last]),
            true => Addr::v6([0xfd, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]),
        }
    }

    fn mode(self) -> Mode {
        MODES[usize::from(self.mode)]
    }

    /// One frontend for each mode and family.
    fn forward(self) -> ForwardKey {
        let frontend = FrontendId::new(u32::from(self.mode) * 2 + u32::from(self.v6), 0);
        ForwardKey { frontend, client: self.addr(1, self.client), client_port: 4000 }
    }

    fn end(self) -> NatEnd {
        NatEnd { addr: self.addr(2, self.backend), port: 80, proto: Proto::Tcp }
    }

    fn nat(self) -> NatKey {
        NatKey { backend: self.end(), client: self.addr(1, self.client), client_port: 4000 }
    }

    fn reverse(self, snat_port: u16) -> ReverseKey {
        let NatEnd { addr, port, proto } = self.end();
        ReverseKey { pair: PairKey { snat: SnatId::new(0, 0), addr, port, proto }, snat_port }
    }

    fn insert(self, table: &mut FlowTable) -> Option<FlowRef> {
        let (key, end, backend) = (self.forward(), self.end(), BackendId::new(0, 0));
        let hash = table.prefetch_forward(&key);
        if self.mode() != Mode::Snat {
            let new = NewDirect { key, mode: self.mode(), backend, end, opens: true };
            return table.insert_direct(&new, hash, Tick(0));
        }
        let class = Classes::ONE.of(0);
        let ports = Range { first: 20_000, last: 20_999, classes: Classes::ONE, class };
        let new = NewFlow {
            key,
            snat: SnatId::new(0, 0),
            ports,
            backend,
            backend_addr: end.addr,
            backend_port: end.port,
            proto: end.proto,
        };
        table.insert(&new, hash, Tick(0)).ok()
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    (0_u8..8, 0_u8..4, 0_u8..3, any::<bool>()).prop_map(|(client, backend, mode, v6)| Wish {
        client,
        backend,
        mode,
        v6,
    })
}

/// A client has one flow to a frontend, and only one that a backend in mode `nat` can tell.
fn clashes(model: &HashMap<Wish, FlowRef>, wish: Wish) -> bool {
    model.keys().any(|held| held.forward() == wish.forward())
}

proptest! {
    #[test]
    fn every_flow_is_found_by_its_own_names_only(
        steps in proptest::collection::vec((wish(), any::<bool>()), 1..200),
    ) {
        let mut table = FlowTable::new(FlowTableConfig { flows: 256, pairs: 64 });
        let mut model: HashMap<Wish, FlowRef> = HashMap::new();
        for (wish, insert) in steps {
            match model.remove(&wish) {
                Some(place) => table.remove(place),
                None if insert && !clashes(&model, wish) => {
                    let place = wish.insert(&mut table);
                    prop_assert!(place.is_some());
                    model.extend(place.map(|place| (wish, place)));
                }
                None => {}
            }
            prop_assert_eq!(table.len(), model.len());
            for (wish, place) in &model {
                let key = wish.forward();
                prop_assert_eq!(table.find_forward(&key, table.prefetch_forward(&key)), Some(*place));
                let key = wish.nat();
                let nat = table.find_nat(&key, table.prefetch_nat(&key));
                let others = model.iter().find(|(other, _)| {
                    other.mode() == Mode::Nat && other.nat() == wish.nat()
                });
                prop_assert_eq!(nat, others.map(|(_, place)| *place));
                let port = table.flow(*place).snat_port;
                let key = wish.reverse(port);
                let reverse = table.find_reverse(&key, table.prefetch_reverse(&key));
                prop_assert_eq!(reverse, (wish.mode() == Mode::Snat).then_some(*place));
            }
        }
    }
}

/// Pairs are few: those of flows that are gone make room for others, in every mode.
#[test]
fn pairs_come_back_when_their_last_flow_is_gone() {
    let mut table = FlowTable::new(FlowTableConfig { flows: 64, pairs: PAIRS });
    for mode in [1, 2, 0, 1] {
        let wish = |backend: usize| Wish {
            client: 1 + backend as u8,
            backend: backend as u8,
            mode,
            v6: false,
        };
        for _ in 0..3 {
            let places: Vec<_> =
                (0..PAIRS).map(|backend| wish(backend).insert(&mut table).unwrap()).collect();
            let more = wish(PAIRS);
            assert!(more.insert(&mut table).is_none(), "every pair has flows");
            for place in places {
                table.remove(place);
            }
            let place = more.insert(&mut table).expect("an idle pair makes room");
            table.remove(place);
        }
    }
}
