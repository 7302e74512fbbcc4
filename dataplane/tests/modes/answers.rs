use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// Who asks whom: family, client port, and whether it is TCP.
type Ask = (bool, u16, bool);

fn question((v6, port, over_tcp): Ask) -> Vec<u8> {
    let (client, vip) = FAMILIES[usize::from(v6)];
    match over_tcp {
        true => tcp(0, (client, port), (vip, 80), "S", b""),
        false => udp(0, (client, port), (vip, 53), &port.to_be_bytes()),
    }
}

/// What a backend says to whom it was asked by, as it saw it.
fn answer(asked: &Seen, payload: &[u8]) -> Vec<u8> {
    let (client, backend) = (text(asked.src), text(asked.dst));
    match &asked.what {
        What::Tcp { src, .. } => tcp(1, (&backend, 8080), (&client, *src), "A", payload),
        What::Udp { src, .. } => udp(1, (&backend, 8080), (&client, *src), payload),
        other => panic!("{other:?}"),
    }
}

proptest! {
    /// However many ask at once, each gets its own answer, from whom it asked, on its own port;
    /// with and without room for all their flows.
    #[test]
    fn every_answer_reaches_who_asked(
        asks in proptest::collection::hash_set((any::<bool>(), 1024_u16..1100, any::<bool>()), 1..80),
        flows in prop_oneof![Just(16_usize), Just(1024)],
        mode in prop_oneof![Just(Mode::Snat), Just(Mode::Nat)],
    ) {
        // A flow in mode `snat` that gave way has lost its answer.
        let flows = if mode == Mode::Snat { 1024 } else { flows };
        let mut world = World::with(Options { flows, ..Options::default() });
        world.change(|tables| in_mode(tables, mode, |_| {}));
        let asks: Vec<Ask> = asks.into_iter().collect();
        let asked: Vec<Seen> =
            asks.iter().map(|ask| one(&world.send(0, &question(*ask)), 1)).collect();
        let apart: HashSet<_> = asked.iter().map(|seen| format!("{seen:?}")).collect();
        prop_assert_eq!(apart.len(), asks.len(), "a backend can tell all of them apart");
        for ((v6, port, over_tcp), asked) in asks.iter().zip(&asked) {
            let payload = [b"for ".as_slice(), &port.to_be_bytes()].concat();
            let seen = one(&world.send(1, &answer(asked, &payload)), 0);
            let (client, vip) = FAMILIES[usize::from(*v6)];
            prop_assert_eq!((seen.src, seen.dst), (addr(vip), addr(client)));
            let (src, dst, got) = match seen.what {
                What::Tcp { src, dst, payload, .. } | What::Udp { src, dst, payload } => {
                    (src, dst, payload)
                }
                other => panic!("{other:?}"),
            };
            let service = if *over_tcp { 80 } else { 53 };
            prop_assert_eq!((src, dst, got), (service, *port, payload));
        }
        world.assert_conserved();
    }
}
