//! The whole worker loop on simulated rings, with state: any story of packets, answers and
//! changed tables. No panic, no frame lost or held twice, every packet with one fate, and what
//! leaves can be read again, comes from us and has right checksums.
#![no_main]

use std::num::NonZeroU16;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use portreeve_dataplane::tables::frontend::Mode;
use portreeve_dataplane::tables::{BackendState, Routing, Stateless};
use portreeve_fuzz::script::{Step, What, answer, error, steps};
use portreeve_fuzz::world::{Options, World, frontends, in_mode, routing};
use portreeve_fuzz::{checksum, sent};

fuzz_target!(|input: &[u8]| {
    let Some((size, story)) = input.split_first() else { return };
    let mut player = Player::new(*size & 1 == 1, MODES[usize::from(*size >> 1 & 3)]);
    steps(story).for_each(|step| player.play(&step));
});

/// Stories play in a world of one mode each.
const MODES: [Mode; 4] = [Mode::Snat, Mode::Nat, Mode::DsrL2, Mode::Snat];

struct Player {
    world: World,
    mode: Mode,
    /// The last packet that left through each port.
    last: [Vec<u8>; 2],
    /// Every packet so far arrived with right checksums.
    right: bool,
}

impl Player {
    fn new(jumbo: bool, mode: Mode) -> Self {
        let (stride, mtus) = if jumbo { (4096, [9001, 1500]) } else { (2048, [1500, 1280]) };
        let options = Options { flows: 64, stride, mtus, frames: 256, ..Options::default() };
        let mut world = World::with(options);
        world.change(|tables| in_mode(tables, mode, |_| {}));
        Self { world, mode, last: Default::default(), right: true }
    }

    fn play(&mut self, step: &Step<'_>) {
        let mut packet = match step.what {
            What::Packet(bytes) => bytes.to_vec(),
            What::Answer(edits) if self.last[step.port].is_empty() => edits.to_vec(),
            What::Error(edits) if !is_ip(&self.last[step.port]) => edits.to_vec(),
            What::Error(edits) => error(step.port, &self.last[step.port], edits),
            What::Answer(edits) => answer(&self.last[step.port], edits),
            What::Change(number) => {
                self.change(number);
                return self.turn();
            }
        };
        match step.finish {
            true => checksum::finish(&mut packet),
            false => self.right = false,
        }
        // Without room the packet is lost before us, which is one more thing that happens.
        let _ = self.world.worker.lanes_mut()[step.port].socket.inject(&packet);
        self.turn();
    }

    fn turn(&mut self) {
        for (port, frame) in self.world.turn() {
            sent::check(port, &frame, self.right, self.mode);
            self.last[port] = frame;
        }
        self.world.assert_conserved();
    }

    fn change(&mut self, number: u8) {
        let mode = self.mode;
        self.world.change(|tables| match number % 8 {
            0 => tables.frontends = Arc::default(),
            1 => tables.frontends = Arc::new(frontends(64)),
            2 => tables.routing = Arc::new(Routing::default()),
            3 => tables.routing = Arc::new(routing()),
            6 => in_mode(tables, mode, |policy| policy.mss = NonZeroU16::new(600)),
            7 => {
                in_mode(tables, mode, |_| {});
                let ends = tables.nat_backends.iter().map(|(end, _)| (*end, Stateless::Route));
                tables.nat_backends = Arc::new(ends.collect());
            }
            _ => {
                let state = [BackendState::Gone, BackendState::Active][usize::from(number & 1)];
                let changed = tables.backends.iter().map(|(id, backend)| {
                    let mut backend = backend.clone();
                    backend.state = if id.index() % 2 == 0 { state } else { backend.state };
                    (id, backend)
                });
                tables.backends = Arc::new(changed.collect());
            }
        });
    }
}

/// Whether a router could quote the frame.
fn is_ip(frame: &[u8]) -> bool {
    frame.len() > 14 && matches!(frame[12..14], [8, 0] | [0x86, 0xdd])
}
