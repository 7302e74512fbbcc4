use super::*;

#[test]
fn a_removed_backend_is_gone_until_its_time_is_over() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let (frontend_id, _) = frontend(&before, &tcp("10.10.200.1", 80));
    let one = DEMO.replace("\"172.16.1.93\", \"172.16.2.115\"", "\"172.16.2.115\"");
    bench.now = at(100);
    let removed = bench.compile(&one);
    assert_eq!(backend_state(&removed, "172.16.1.93"), Some(BackendState::Gone));
    assert_eq!(backend_state(&removed, "172.16.2.115"), Some(BackendState::Active));
    assert_eq!(frontend(&removed, &tcp("10.10.200.1", 80)).0, frontend_id);
    // The source address towards it lingers, then the backend's own time runs out.
    assert_eq!(removed.next_deadline, Some(at(100) + LINGER));
    bench.now = at(100) + LINGER;
    assert_eq!(bench.compile(&one).next_deadline, Some(at(100 + 7_200)));
    bench.now = at(100 + 7_200);
    let later = bench.compile(&one);
    assert_eq!(backend_state(&later, "172.16.1.93"), None);
    assert_eq!(later.next_deadline, None);
}

#[test]
fn a_backend_that_comes_back_keeps_its_id() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    bench.compile(&DEMO.replace("\"172.16.1.93\", \"172.16.2.115\"", "\"172.16.2.115\""));
    let after = bench.compile(DEMO);
    let ids = |compiled: &Compiled| -> Vec<_> {
        compiled.tables.backends.iter().map(|(id, backend)| (id, backend.addr)).collect()
    };
    assert_eq!(ids(&before), ids(&after));
    assert_eq!(backend_state(&after, "172.16.1.93"), Some(BackendState::Active));
}

#[test]
fn a_backend_that_leaves_one_service_is_left_there_and_active_elsewhere() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let one = DEMO.replacen("\"172.16.1.93\", \"172.16.2.115\"", "\"172.16.2.115\"", 1);
    let after = bench.compile(&one);
    let id = before.tables.backends.iter().find(|(_, b)| b.addr == addr("172.16.1.93")).unwrap().0;
    assert_eq!(*frontend(&after, &tcp("10.10.200.1", 80)).1.left, [id]);
    assert!(frontend(&after, &tcp("10.10.200.2", 80)).1.left.is_empty());
    assert_eq!(backend_state(&after, "172.16.1.93"), Some(BackendState::Active));
    assert!(frontend(&bench.compile(DEMO), &tcp("10.10.200.1", 80)).1.left.is_empty());
}

#[test]
fn weight_0_drains_a_backend() {
    let drained = "{ address = \"172.16.1.93\", weight = 0 }, \"172.16.2.115\"";
    let text = DEMO.replace("\"172.16.1.93\", \"172.16.2.115\"", drained);
    let compiled = Bench::new().compile(&text);
    assert_eq!(backend_state(&compiled, "172.16.1.93"), Some(BackendState::Draining));
    let maglev = frontend(&compiled, &tcp("10.10.200.1", 80)).1.maglev.clone().unwrap();
    assert_eq!(maglev.backends().len(), 1);
}

#[test]
fn a_removed_vip_lingers_silently_and_its_frontend_is_gone() {
    let mut bench = Bench::new();
    let before = bench.compile(DEMO);
    let key = tcp("10.10.200.3", 80);
    let text = &DEMO[..DEMO.rfind("[[service]]").unwrap()];
    bench.now = at(10);
    let after = bench.compile(text);
    let (id, gone) = frontend(&after, &key);
    assert_eq!(id, frontend(&before, &key).0);
    assert!(gone.gone && gone.maglev.is_none());
    let owned = after.tables.addresses.get(&key.addr).unwrap();
    assert!(owned.vip.unwrap().retired);
    assert_eq!(owned.announce, PortMask::NONE);
    assert_eq!(after.steering.addresses.get(&key.addr), Some(&Share::Whole));
    assert!(after.announce.iter().all(|(addr, _)| *addr != key.addr));
    bench.now = at(10) + LINGER;
    let later = bench.compile(text);
    assert!(later.tables.addresses.get(&key.addr).is_none());
    assert!(!later.steering.addresses.contains_key(&key.addr));
}

#[test]
fn forgetting_gives_the_place_to_the_next_with_a_new_generation() {
    let mut bench = Bench::new();
    let old = frontend(&bench.compile(DEMO), &tcp("10.10.200.3", 80)).0;
    let text = DEMO.replace("10.10.200.3", "10.10.200.4");
    bench.compile(&text);
    bench.compiler.forget();
    let compiled = bench.compile(&DEMO.replace("10.10.200.3", "10.10.200.5"));
    let (new, _) = frontend(&compiled, &tcp("10.10.200.5", 80));
    assert_eq!(new.index(), old.index());
    assert_ne!(new, old);
}
