//! The program alone, loaded from its bytes, with maps that hold one of everything.

use std::net::IpAddr;
use std::os::fd::{AsFd as _, OwnedFd};

use aya::maps::{HashMap, LpmTrie, MapData, MapError, PerCpuArray, XskMap, lpm_trie};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use dataplane::addr::Addr;
use portreeve_bpf_abi::{
    AddressFlags, Coverage, Map, NatBackend, PROGRAM, Port, RangePrefix, Source, Target, Verdict,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use zerocopy::transmute;

use super::cases::*;
use super::frames::{ICMP, ICMPV6, TCP, UDP};

/// The test run's frames arrive on the loopback interface, queue 0.
const LOOPBACK: u32 = 1;
/// So that a forgotten base shows.
const PORT_ID: u8 = 3;
const ON: [u8; 4] = [1, 0, 0, 0];

pub struct World {
    object: Ebpf,
    sockets: XskMap<MapData>,
    verdicts: PerCpuArray<MapData, u64>,
    ports: HashMap<MapData, u32, [u8; 8]>,
    socket: Option<OwnedFd>,
}

impl World {
    pub fn new() -> Self {
        let mut object = EbpfLoader::new().btf(None).load(portreeve::steer::OBJECT).unwrap();
        let program: &mut Xdp = object.program_mut(PROGRAM).unwrap().try_into().unwrap();
        program.load().unwrap();
        let sockets = take(&mut object, Map::SOCKETS);
        let verdicts = take(&mut object, Map::VERDICTS);
        let ports = take(&mut object, Map::PORTS);
        let mut world = Self { object, sockets, verdicts, ports, socket: None };
        world.set_port(Some(1));
        world.fill_addresses();
        world.fill_ranges();
        world.fill_egress();
        world.fill_backends();
        world
    }

    /// The number of queues of the port on which test frames arrive; `None`: not a port of ours.
    pub fn set_port(&mut self, queues: Option<u32>) {
        let Some(queues) = queues else { return self.ports.remove(&LOOPBACK).unwrap() };
        let bytes: [u8; 8] = transmute!(Port::new(PORT_ID, queues));
        self.ports.insert(LOOPBACK, bytes, 0).unwrap();
    }

    /// Puts a socket into the slot of the port's queue 0, or takes it out. The kernel asks only
    /// for the right family; a test run does not deliver.
    pub fn set_socket(&mut self, there: bool) {
        let slot = Port::new(PORT_ID, 1).base;
        if there {
            let xdp = AddressFamily::from_raw(44);
            let socket = socket_with(xdp, SocketType::RAW, SocketFlags::CLOEXEC, None).unwrap();
            self.sockets.set(slot, socket.as_fd(), 0).unwrap();
            self.socket = Some(socket);
        } else {
            self.sockets.unset(slot).unwrap();
            self.socket = None;
        }
    }

    /// The action on `frame`, and the counters that it raised.
    pub fn run(&self, frame: &[u8]) -> (u32, Vec<Verdict>) {
        let before = self.counters();
        let program: &Xdp = self.object.program(PROGRAM).unwrap().try_into().unwrap();
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
        let action = program.test_run(options).unwrap().return_value;
        let after = self.counters();
        let raised = Verdict::ALL.into_iter().filter(|verdict| {
            let (before, after) = (before[*verdict as usize], after[*verdict as usize]);
            assert!(after - before <= 1, "{verdict:?} rose by {}", after - before);
            after > before
        });
        (action, raised.collect())
    }

    fn counters(&self) -> Vec<u64> {
        let sum = |index: u32| self.verdicts.get(&index, 0).unwrap().iter().sum();
        (0..Verdict::COUNT as u32).map(sum).collect()
    }

    fn fill_addresses(&mut self) {
        let mut map: HashMap<MapData, [u8; 16], [u8; 4]> = take(&mut self.object, Map::ADDRESSES);
        let shared = AddressFlags::SHARED | AddressFlags::HOST;
        for (addr, flags) in [
            (bytes(WHOLE), AddressFlags::WHOLE),
            (bytes(SHARED), shared),
            (bytes(HOST_ONLY), AddressFlags::HOST),
            (bytes(SHARED_TOO), shared),
            (bytes(BACKEND_HERE), AddressFlags::HOST | AddressFlags::BACKEND),
            (bytes(BACKEND), AddressFlags::BACKEND),
            (bytes(WHOLE6), AddressFlags::WHOLE),
            (bytes(SHARED6), shared),
            (bytes(HOST_ONLY6), AddressFlags::HOST),
            (bytes(BACKEND6), AddressFlags::BACKEND),
        ] {
            map.insert(addr, flags.to_bytes(), 0).unwrap();
        }
    }

    fn fill_ranges(&mut self) {
        let mut map: LpmTrie<MapData, [u8; 20], [u8; 4]> = take(&mut self.object, Map::PORT_RANGES);
        let mut insert = |addr, proto, port, bits| {
            let block: [u8; 20] = transmute!(RangePrefix::new(addr, proto, port));
            let key = lpm_trie::Key::new(RangePrefix::prefix_len(bits), block);
            map.insert(&key, ON, 0).unwrap();
        };
        insert(bytes(SHARED_TOO), TCP, SERVICE_PORT, 16);
        for (addr, icmp) in [(bytes(SHARED), ICMP), (bytes(SHARED6), ICMPV6)] {
            insert(addr, TCP, SERVICE_PORT, 16);
            insert(addr, icmp, IDENTIFIER, 16);
            for proto in [TCP, UDP] {
                // RANGE, as aligned blocks.
                for (port, bits) in [
                    (61_000, 13),
                    (61_008, 12),
                    (61_024, 11),
                    (61_056, 10),
                    (61_120, 9),
                    (61_184, 8),
                    (61_440, 4),
                ] {
                    insert(addr, proto, port, bits);
                }
            }
        }
    }

    fn fill_egress(&mut self) {
        let mut sources: LpmTrie<MapData, [u8; 16], [u8; 4]> =
            take(&mut self.object, Map::EGRESS_SOURCES);
        for (addr, bits, policy) in
            [(bytes(POD), 96 + 16, 1u32), (bytes(SPECIAL_POD), 96 + 24, 2), (bytes(POD6), 48, 1)]
        {
            let key = lpm_trie::Key::new(bits, transmute!(Source { addr }));
            sources.insert(&key, policy.to_ne_bytes(), 0).unwrap();
        }
        let mut targets: LpmTrie<MapData, [u8; 20], [u8; 4]> =
            take(&mut self.object, Map::EGRESS_TARGETS);
        for (policy, addr, bits, coverage) in [
            (1, bytes(COVERED), 96, Coverage::Covered),
            (1, bytes(EXCLUDED), 96 + 24, Coverage::Excluded),
            (2, bytes(EXCLUDED), 96 + 24, Coverage::Covered),
            (1, bytes(COVERED6), 48, Coverage::Covered),
        ] {
            let target: [u8; 20] = transmute!(Target::new(policy, addr));
            let key = lpm_trie::Key::new(Target::prefix_len(bits), target);
            targets.insert(&key, coverage.to_bytes(), 0).unwrap();
        }
    }

    fn fill_backends(&mut self) {
        let mut map: HashMap<MapData, [u8; 20], [u8; 4]> =
            take(&mut self.object, Map::NAT_BACKENDS);
        for addr in [bytes(BACKEND), bytes(BACKEND6)] {
            let key: [u8; 20] = transmute!(NatBackend::new(addr, TCP, BACKEND_PORT));
            map.insert(key, ON, 0).unwrap();
        }
    }
}

fn bytes(addr: impl Into<IpAddr>) -> [u8; 16] {
    *Addr::from(addr.into()).octets()
}

fn take<M: TryFrom<aya::maps::Map, Error = MapError>>(object: &mut Ebpf, map: Map) -> M {
    M::try_from(object.take_map(map.name).unwrap()).unwrap()
}
