//! Addresses that are apart from the rule: each change of them alone shows in the outcome.

use portreeve::desired::apart::{AddressState, Apart};

use super::*;

fn compile(bench: &mut Bench, state: AddressState) -> Compiled {
    let apart = Apart::from([(addr("10.10.200.1"), state)]);
    let desired = Desired { apart: Arc::new(apart), ..desired(DEMO) };
    bench.compiler.recompile(&desired, &bench.topology, bench.now).unwrap()
}

fn announced(compiled: &Compiled, vip: &str) -> bool {
    let owned = compiled.tables.addresses.get(&addr(vip)).unwrap();
    let listed = compiled.announce.iter().any(|(announced, _)| *announced == addr(vip));
    assert_eq!(listed, owned.announce != PortMask::NONE);
    listed
}

fn steered(compiled: &Compiled, vip: &str) -> bool {
    compiled.steering.addresses.contains_key(&addr(vip))
}

#[test]
fn a_released_address_is_silent_then_let_go_then_as_before() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let rule = AddressState::default();
    let lingers = AddressState { announced: false, ..rule };
    let gone = AddressState { steered: false, ..lingers };
    for (state, answers, taken) in
        [(lingers, false, true), (gone, false, false), (rule, true, true), (gone, false, false)]
    {
        let compiled = compile(&mut bench, state);
        assert_eq!(announced(&compiled, "10.10.200.1"), answers, "{state:?}");
        assert_eq!(steered(&compiled, "10.10.200.1"), taken, "{state:?}");
        assert!(announced(&compiled, "10.10.200.2") && steered(&compiled, "10.10.200.2"));
        // Workers go on as they were: what still comes is forwarded, and flows are there when the
        // address comes back.
        let same = |vip| {
            let [old, new] = [&before, &compiled].map(|c| frontend(c, &tcp(vip, 80)));
            old.0 == new.0 && Arc::ptr_eq(&old.1, &new.1)
        };
        assert!(same("10.10.200.1") && same("10.10.200.2"));
    }
}

#[test]
fn a_drained_address_has_no_backend_for_new_flows_and_keeps_all_for_the_rest() {
    let mut bench = Bench::new();
    bench.compile(DEMO);
    let compiled = compile(&mut bench, AddressState { open: false, ..AddressState::default() });
    let drained = frontend(&compiled, &tcp("10.10.200.1", 80)).1;
    assert!(drained.maglev.is_none() && drained.left.is_empty() && !drained.gone);
    assert!(frontend(&compiled, &tcp("10.10.200.2", 80)).1.maglev.is_some());
    assert_eq!(backend_state(&compiled, "172.16.1.93"), Some(BackendState::Active));
    assert!(announced(&compiled, "10.10.200.1") && steered(&compiled, "10.10.200.1"));
    let open = compile(&mut bench, AddressState::default());
    assert!(frontend(&open, &tcp("10.10.200.1", 80)).1.maglev.is_some());
}
