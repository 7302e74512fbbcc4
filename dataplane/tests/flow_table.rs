//! The flow table against a plain map, and its promises when it is short of room.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;

use portreeve_dataplane::addr::{Addr, Classes, Proto};
use portreeve_dataplane::drop_reason::DropReason;
use portreeve_dataplane::flow::pair::PairKey;
use portreeve_dataplane::flow::ports::Range;
use portreeve_dataplane::flow::state::Direction;
use portreeve_dataplane::flow::{
    FlowRef, FlowTable, FlowTableConfig, ForwardKey, NewFlow, ReverseKey,
};
use portreeve_dataplane::tables::{BackendId, FrontendId, SnatId, Timeouts};
use portreeve_dataplane::time::Tick;
use portreeve_dataplane::wire::tcp::Flags;
use proptest::prelude::*;

const PORTS: std::ops::RangeInclusive<u16> = 20_000..=20_999;

fn table(flows: usize) -> FlowTable {
    FlowTable::new(FlowTableConfig { flows, pairs: 64 })
}

fn new_flow(client: u32, backend: u8, proto: Proto) -> NewFlow {
    let [a, b, c, d] = client.to_be_bytes();
    NewFlow {
        key: ForwardKey {
            frontend: FrontendId::new(0, 0),
            client: Addr::v4([10, b, c, d]),
            client_port: 1024 + u16::from(a),
        },
        snat: SnatId::new(0, 0),
        ports: Range {
            first: *PORTS.start(),
            last: *PORTS.end(),
            classes: Classes::ONE,
            class: Classes::ONE.of(0),
        },
        backend: BackendId::new(u32::from(backend), 0),
        backend_addr: Addr::v4([172, 16, 0, backend]),
        backend_port: 80,
        proto,
    }
}

fn reverse_key(new: &NewFlow, table: &FlowTable, place: FlowRef) -> ReverseKey {
    let pair = PairKey {
        snat: new.snat,
        addr: new.backend_addr,
        port: new.backend_port,
        proto: new.proto,
    };
    ReverseKey { pair, snat_port: table.flow(place).snat_port }
}

fn establish(table: &mut FlowTable, place: FlowRef, now: Tick) {
    table.observe(place, Direction::Reverse, Flags(Flags::SYN | Flags::ACK), now);
    table.observe(place, Direction::Forward, Flags(Flags::ACK), now);
}

#[derive(Debug, Clone)]
enum Step {
    Insert { client: u32, backend: u8, tcp: bool },
    Remove { client: u32 },
    Establish { client: u32 },
    Pass { ms: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u32..40, 0_u8..3, any::<bool>())
            .prop_map(|(client, backend, tcp)| Step::Insert { client, backend, tcp }),
        1 => (0_u32..40).prop_map(|client| Step::Remove { client }),
        2 => (0_u32..40).prop_map(|client| Step::Establish { client }),
        1 => (0_u32..40_000).prop_map(|ms| Step::Pass { ms }),
    ]
}

fn insert(table: &mut FlowTable, new: &NewFlow, now: Tick) -> Result<FlowRef, DropReason> {
    let hash = table.prefetch_forward(&new.key);
    table.insert(new, hash, now)
}

fn find(table: &FlowTable, key: &ForwardKey) -> Option<FlowRef> {
    table.find_forward(key, table.prefetch_forward(key))
}

proptest! {
    /// Whatever happens: a flow is found by both of its keys for as long as a plain map has it,
    /// no two flows share a port towards one backend, and what timed out is gone.
    #[test]
    fn agrees_with_a_plain_map(steps in proptest::collection::vec(step(), 1..200)) {
        let timeouts = Timeouts::default();
        // Twice as large as it must be, so that no quota comes into play here.
        let mut table = table(128);
        let mut model: HashMap<u32, (NewFlow, FlowRef)> = HashMap::new();
        let mut now = Tick(u32::MAX - 50_000);
        for step in steps {
            match step {
                Step::Insert { client, backend, tcp } => {
                    if model.contains_key(&client) {
                        continue;
                    }
                    let proto = if tcp { Proto::Tcp } else { Proto::Udp };
                    let new = new_flow(client, backend, proto);
                    let place = insert(&mut table, &new, now).unwrap();
                    model.insert(client, (new, place));
                }
                Step::Remove { client } => {
                    if let Some((_, place)) = model.remove(&client) {
                        table.remove(place);
                    }
                }
                Step::Establish { client } => {
                    if let Some((new, place)) = model.get(&client)
                        && new.proto == Proto::Tcp
                    {
                        establish(&mut table, *place, now);
                    }
                }
                Step::Pass { ms } => {
                    now = Tick(now.0.wrapping_add(ms));
                    model.retain(|_, (_, place)| {
                        let flow = table.flow(*place);
                        now.since(flow.seen) <= flow.state().timeout(&timeouts)
                    });
                    table.sweep(&timeouts, now, 128);
                }
            }
            prop_assert_eq!(table.len(), model.len());
            let mut ports = HashMap::new();
            for (client, (new, place)) in &model {
                prop_assert_eq!(find(&table, &new.key), Some(*place));
                let key = reverse_key(new, &table, *place);
                prop_assert_eq!(table.find_reverse(&key, table.prefetch_reverse(&key)), Some(*place));
                prop_assert!(PORTS.contains(&key.snat_port));
                let other = ports.insert((new.backend_addr, new.proto, key.snat_port), client);
                prop_assert_eq!(other, None, "two flows share a port");
            }
        }
    }
}

#[test]
fn established_flows_are_never_evicted_and_the_oldest_half_open_goes_first() {
    let mut table = table(10);
    let now = Tick(0);
    let kept: Vec<_> = (0..5).map(|i| new_flow(i, 1, Proto::Tcp)).collect();
    for new in &kept {
        let place = insert(&mut table, new, now).unwrap();
        establish(&mut table, place, now);
    }
    for client in 100..1100 {
        insert(&mut table, &new_flow(client, (client % 3) as u8, Proto::Tcp), now).unwrap();
    }
    assert!(kept.iter().all(|new| find(&table, &new.key).is_some()));
    assert_eq!((table.len(), table.half_open(), table.evicted()), (10, 5, 995));
    for client in 1095..1100 {
        assert!(find(&table, &new_flow(client, 0, Proto::Tcp).key).is_some(), "{client}");
    }
}

#[test]
fn a_flood_of_datagrams_takes_no_place_from_flows_that_were_answered() {
    let mut table = table(100);
    let answered: Vec<_> = (0..40).map(|i| new_flow(i, 1, Proto::Udp)).collect();
    for new in &answered {
        let place = insert(&mut table, new, Tick(0)).unwrap();
        table.observe(place, Direction::Reverse, Flags::default(), Tick(0));
    }
    for client in 1000..11_000 {
        insert(&mut table, &new_flow(client, 2, Proto::Udp), Tick(0)).unwrap();
    }
    assert!(answered.iter().all(|new| find(&table, &new.key).is_some()));
}

#[test]
fn refused_handshakes_give_way_like_half_open_ones() {
    let mut table = table(256);
    for client in 0..2000 {
        let place = insert(&mut table, &new_flow(client, 1, Proto::Tcp), Tick(0)).unwrap();
        table.observe(place, Direction::Reverse, Flags(Flags::RST | Flags::ACK), Tick(0));
    }
    assert_eq!(table.len(), 128);
}

#[test]
fn half_open_flows_hold_at_most_half_of_a_pairs_ports() {
    let mut table = table(4096);
    for client in 0..1000 {
        insert(&mut table, &new_flow(client, 1, Proto::Tcp), Tick(0)).unwrap();
    }
    assert_eq!(table.half_open(), 500);
    assert!(find(&table, &new_flow(0, 1, Proto::Tcp).key).is_none(), "the oldest went");
    assert!(find(&table, &new_flow(999, 1, Proto::Tcp).key).is_some());
}

#[test]
fn several_workers_have_a_quota_of_their_own_share_of_a_pairs_ports() {
    let classes = Classes::new(4).unwrap();
    let mut table = table(4096);
    for client in 0..1000 {
        let mut new = new_flow(client, 1, Proto::Tcp);
        new.ports = Range { classes, class: classes.of(0), ..new.ports };
        insert(&mut table, &new, Tick(0)).unwrap();
    }
    assert_eq!(table.half_open(), 125);
}

#[test]
fn half_open_flows_give_way_when_established_ones_use_most_ports() {
    let mut table = table(4096);
    let ports = PORTS.len() as u32;
    let kept: Vec<_> = (0..ports - 10).map(|client| new_flow(client, 1, Proto::Tcp)).collect();
    for new in &kept {
        let place = insert(&mut table, new, Tick(0)).unwrap();
        establish(&mut table, place, Tick(0));
    }
    for client in 10_000..11_000 {
        insert(&mut table, &new_flow(client, 1, Proto::Tcp), Tick(0)).unwrap();
    }
    assert_eq!(table.half_open(), 10);
    assert!(kept.iter().all(|new| find(&table, &new.key).is_some()));
}

#[test]
fn a_full_table_of_established_flows_refuses() {
    let mut table = table(8);
    for client in 0..8 {
        let place = insert(&mut table, &new_flow(client, 1, Proto::Tcp), Tick(0)).unwrap();
        establish(&mut table, place, Tick(0));
    }
    for proto in [Proto::Tcp, Proto::Udp] {
        assert_eq!(
            insert(&mut table, &new_flow(99, 1, proto), Tick(0)),
            Err(DropReason::FlowTableFull)
        );
    }
    assert_eq!(table.len(), 8);
}

#[test]
fn each_backend_gives_a_whole_port_range() {
    let mut table = table(4096);
    let ports = PORTS.len() as u32;
    for backend in 1..=3_u8 {
        for client in 0..ports {
            let client = u32::from(backend) * 10_000 + client;
            let place =
                insert(&mut table, &new_flow(client, backend, Proto::Udp), Tick(0)).unwrap();
            table.observe(place, Direction::Reverse, Flags::default(), Tick(0));
        }
        let one_more = new_flow(1_000_000 + u32::from(backend), backend, Proto::Udp);
        assert_eq!(insert(&mut table, &one_more, Tick(0)), Err(DropReason::PortsExhausted));
    }
    assert_eq!(table.len(), 3 * PORTS.len());
}

#[test]
fn the_sizes_that_are_promised_hold() {
    let config = FlowTableConfig { flows: 16 << 20, pairs: 1024 };
    let entries_and_indexes = config.flows * 48 + 2 * config.flows * 8 * 100 / 80;
    assert!(entries_and_indexes <= 1_200_000_000, "design section 11: {entries_and_indexes}");
    assert!(config.bytes() >= entries_and_indexes, "what `check` prints is not less");
}
