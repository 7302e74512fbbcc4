//! Modes `nat` and `dsr-l2`, and what a service does besides balancing: golden packets, as in
//! `pipeline.rs`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// Each client gets the answer that is for it.
#[path = "modes/answers.rs"]
mod answers;
/// Mode `dsr-l2`.
#[path = "modes/dsr.rs"]
mod dsr;
/// Mode `nat`.
#[path = "modes/nat.rs"]
mod nat;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/packet.rs"]
mod packet;
/// Affinity, allowed clients, MSS, in every mode.
#[path = "modes/policy.rs"]
mod policy;
#[path = "modes/routed.rs"]
mod routed;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/story.rs"]
mod story;
#[allow(dead_code, reason = "each test program uses a part of it")]
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use packet::*;
use portreeve_dataplane::tables::frontend::Mode;
use portreeve_dataplane::tables::*;
use story::*;
use world::*;

/// Client, VIP and port 80's and 53's ends in each family.
const FAMILIES: [(&str, &str); 2] = [(CLIENT, VIP), (CLIENT6, VIP6)];

/// A world in which every service is in this mode.
fn world_in(mode: Mode) -> World {
    let mut world = World::new();
    world.change(|tables| in_mode(tables, mode, |_| {}));
    world
}

/// The only packet, which leaves through this port.
fn one(sent: &[(usize, Vec<u8>)], port: usize) -> Seen {
    match sent {
        [(through, packet)] if *through == port => read(packet),
        _ => panic!("one packet through port {port}: {sent:?}"),
    }
}

/// Takes a backend, named by its address, away.
fn remove(world: &mut World, backend: portreeve_dataplane::addr::Addr) {
    world.change(|tables| {
        let all = tables.backends.iter().map(|(id, old)| {
            let state = if old.addr == backend { BackendState::Gone } else { old.state };
            (id, Backend { state, ..*old })
        });
        tables.backends = Arc::new(all.collect());
    });
}

/// New flows go to this backend only.
fn only(world: &mut World, backend: u32) {
    world.change(|tables| {
        let all: Vec<_> = tables.frontends.iter().map(|(id, _)| id).collect();
        let all = all.into_iter().map(|id| {
            let old = tables.frontends.get(id).unwrap();
            let text = BACKENDS.iter().chain(&BACKENDS6).nth(backend as usize).unwrap();
            let member = maglev::Member {
                id: BackendId::new(backend, 0),
                addr: addr(text),
                port: 8080,
                proto: old.key.proto.into(),
                weight: 100,
            };
            let frontend = Frontend {
                key: old.key,
                mode: old.mode,
                maglev: Maglev::build(&tables.seeds, 251, &[member]).map(Arc::new),
                snat: old.snat.clone(),
                left: old.left.clone(),
                gone: old.gone,
                policy: old.policy.clone(),
            };
            (id, Arc::new(frontend))
        });
        tables.frontends = Arc::new(all.collect());
    });
}
