//! Attaching, dying and starting again, on a veth pair.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;

use aya::maps::{Array, MapData};
use dataplane::addr::Addr;
use dataplane::tables::NatEnd;
use portreeve::steer::{ModeChoice, Start, Steer, SteerError, bpffs, detach};
use portreeve::steering::{PortRange, Share, Steering};
use portreeve_bpf_abi::{Instance, Map, Mode};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use zerocopy::transmute;

use super::has_root;
use super::rig::{Bpffs, in_netns, ip, port, veth};

const VIP: [u8; 4] = [198, 51, 100, 200];

/// Runs `test` with a bpffs, inside a namespace with the pair `ens1` - `peer1`.
fn with_rig(name: &str, test: impl FnOnce(&Bpffs) + Send) {
    if !has_root(name) {
        return;
    }
    let bpffs = Bpffs::mount();
    in_netns(|| {
        veth("ens1", "peer1");
        test(&bpffs);
    });
}

fn start(pins: &Path, mode: ModeChoice) -> Steer {
    Steer::load_or_adopt(pins, &[port("ens1", mode)]).unwrap()
}

fn steering(vip: [u8; 4]) -> Steering {
    Steering { addresses: BTreeMap::from([(Addr::v4(vip), Share::Whole)]), ..Steering::default() }
}

fn count(steer: &Steer, name: &str) -> u64 {
    steer.verdicts().unwrap().into_iter().find(|(found, _)| *found == name).unwrap().1
}

/// Lets the kernel ask for [`VIP`] on `peer1`, which is where `ens1` receives from.
fn ask_for_vip() {
    ip(&["address", "replace", "198.51.100.1/24", "dev", "peer1"]);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.send_to(b"anybody?", (Ipv4Addr::from(VIP), 9)).unwrap();
}

/// Waits until the counter rises above `level`; counters of a program announce themselves to
/// nobody, so they have to be read.
fn rises(steer: &Steer, name: &str, level: u64) -> bool {
    (0..2_000).any(|_| {
        std::thread::sleep(Duration::from_millis(1));
        count(steer, name) > level
    })
}

#[test]
fn a_restart_adopts_what_a_dead_process_left_at_work() {
    with_rig("a_restart_adopts_what_a_dead_process_left_at_work", |bpffs| {
        let pins = bpffs.pins();
        let mut first = start(&pins, ModeChoice::Auto);
        assert_eq!(first.report().start, Start::Fresh);
        assert_eq!(first.report().ports[0].mode, Mode::Native);
        assert!(!first.report().ports[0].adopted);
        assert_eq!(first.add(&steering(VIP)).unwrap(), 1);
        assert_eq!(first.add(&steering(VIP)).unwrap(), 0, "what is there is not written again");
        drop(first);

        ask_for_vip();
        let mut second = start(&pins, ModeChoice::Auto);
        assert_eq!(second.report().start, Start::Adopted);
        assert!(second.report().ports[0].adopted);
        assert_eq!(second.report().entries, 1);
        assert!(rises(&second, "arp", 0), "the question came while nobody was there");
        assert_eq!(count(&second, "arp"), count(&second, "dropped_no_socket"));
        eprintln!("adopted in {:?}", second.report().took);

        let other = [198, 51, 100, 201];
        assert_eq!(second.add(&steering(other)).unwrap(), 1);
        assert_eq!(second.retain_only(&steering(other)).unwrap(), 1, "the stale one goes");
        drop(second);
        assert_eq!(start(&pins, ModeChoice::Auto).report().entries, 1);
    });
}

#[test]
fn another_build_replaces_the_program_in_place() {
    with_rig("another_build_replaces_the_program_in_place", |bpffs| {
        let pins = bpffs.pins();
        let mut first = start(&pins, ModeChoice::Auto);
        first.add(&steering(VIP)).unwrap();
        drop(first);
        let before = instance(&pins);
        write_instance(&pins, Instance { object: 1, ..before });

        let second = start(&pins, ModeChoice::Auto);
        assert_eq!(second.report().start, Start::Replaced);
        assert!(second.report().ports[0].adopted, "the link stays");
        assert_eq!(second.report().entries, 1, "the maps stay");
        assert_ne!(instance(&pins).program, before.program);
        assert_eq!(instance(&pins).object, before.object);
        eprintln!("replaced in {:?}", second.report().took);
        ask_for_vip();
        assert!(rises(&second, "arp", 0), "the new program is at work");
    });
}

#[test]
fn maps_of_another_layout_are_made_anew() {
    with_rig("maps_of_another_layout_are_made_anew", |bpffs| {
        let pins = bpffs.pins();
        let mut first = start(&pins, ModeChoice::Auto);
        first.add(&steering(VIP)).unwrap();
        drop(first);
        write_instance(&pins, Instance { layout: 999, ..instance(&pins) });

        let mut second = start(&pins, ModeChoice::Auto);
        assert_eq!(second.report().start, Start::Fresh);
        assert!(second.report().ports[0].adopted, "the port is never without a program");
        assert_eq!(second.report().entries, 0);
        second.add(&steering(VIP)).unwrap();
        ask_for_vip();
        assert!(rises(&second, "arp", 0), "the link runs the program with the new maps");
    });
}

#[test]
fn the_link_of_a_device_that_is_gone_is_discarded() {
    with_rig("the_link_of_a_device_that_is_gone_is_discarded", |bpffs| {
        let pins = bpffs.pins();
        drop(start(&pins, ModeChoice::Auto));
        let old = links(&pins);
        ip(&["link", "del", "ens1"]);
        veth("ens1", "peer1");

        let second = start(&pins, ModeChoice::Auto);
        assert!(!second.report().ports[0].adopted);
        let new = links(&pins);
        assert_eq!(new.len(), 1);
        assert_ne!(new, old);
    });
}

#[test]
fn ports_come_and_go() {
    with_rig("ports_come_and_go", |bpffs| {
        let pins = bpffs.pins();
        veth("ens2.100", "peer2");
        drop(start(&pins, ModeChoice::Auto));
        let ens2 =
            portreeve::steer::PortAttach { port_id: 31, ..port("ens2.100", ModeChoice::Auto) };
        let both = [port("ens1", ModeChoice::Auto), ens2.clone()];
        let second = Steer::load_or_adopt(&pins, &both).unwrap();
        assert_eq!(second.report().start, Start::Replaced);
        assert_eq!(
            second.report().ports.iter().map(|port| port.adopted).collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(links(&pins).len(), 2);
        drop(second);
        let third = Steer::load_or_adopt(&pins, &[ens2]).unwrap();
        assert_eq!(third.report().start, Start::Adopted);
        assert_eq!(links(&pins).len(), 1);
        assert_eq!(detached(third), 1);
    });
}

#[test]
fn a_port_changes_its_mode_when_told_to() {
    with_rig("a_port_changes_its_mode_when_told_to", |bpffs| {
        let pins = bpffs.pins();
        drop(start(&pins, ModeChoice::Native));
        let second = start(&pins, ModeChoice::Skb);
        assert_eq!(second.report().ports[0].mode, Mode::Skb);
        assert!(!second.report().ports[0].adopted);
        drop(second);
        let third = start(&pins, ModeChoice::Auto);
        assert_eq!(third.report().ports[0].mode, Mode::Skb, "what works stays");
        assert!(third.report().ports[0].adopted);
    });
}

#[test]
fn sockets_are_set_and_cleared_within_the_limits() {
    with_rig("sockets_are_set_and_cleared_within_the_limits", |bpffs| {
        let mut steer = start(&bpffs.pins(), ModeChoice::Auto);
        let xdp = AddressFamily::from_raw(44);
        let socket = socket_with(xdp, SocketType::RAW, SocketFlags::CLOEXEC, None).unwrap();
        steer.set_socket(31, 63, socket.as_fd()).unwrap();
        steer.clear_socket(31, 63).unwrap();
        steer.clear_socket(31, 63).unwrap();
        let beyond = steer.set_socket(32, 0, socket.as_fd()).unwrap_err();
        assert!(matches!(beyond, SteerError::NoSlot { what: "ports", .. }), "{beyond}");
        let beyond = steer.set_socket(0, 64, socket.as_fd()).unwrap_err();
        assert!(matches!(beyond, SteerError::NoSlot { what: "receive queues", .. }), "{beyond}");
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        assert!(matches!(steer.set_socket(0, 0, file.as_fd()), Err(SteerError::Map { .. })));
    });
}

#[test]
fn a_shrunk_share_stops_at_retain_and_not_before() {
    with_rig("a_shrunk_share_stops_at_retain_and_not_before", |bpffs| {
        let mut steer = start(&bpffs.pins(), ModeChoice::Auto);
        let range = PortRange { proto: dataplane::addr::Proto::Tcp, first: 80, last: 83 };
        let shared = Steering {
            addresses: BTreeMap::from([(Addr::v4(VIP), Share::Ranges(vec![range]))]),
            ..Steering::default()
        };
        steer.add(&steering(VIP)).unwrap();
        assert_eq!(steer.add(&shared).unwrap(), 2, "one block of ports, and the flags");
        ask_for_vip();
        assert!(rises(&steer, "arp", 0), "still wholly ours");
        assert_eq!(steer.retain_only(&shared).unwrap(), 1, "the flags");
        let before = count(&steer, "arp");
        let passed = count(&steer, "passed");
        ip(&["neigh", "flush", "dev", "peer1"]);
        ask_for_vip();
        assert!(rises(&steer, "passed", passed));
        assert_eq!(count(&steer, "arp"), before);
    });
}

#[test]
fn backends_in_mode_nat_are_told_by_address_and_end() {
    with_rig("backends_in_mode_nat_are_told_by_address_and_end", |bpffs| {
        let proto = dataplane::addr::Proto::Tcp;
        let end = |port| NatEnd { addr: Addr::v4([198, 51, 100, 9]), port, proto };
        let wanted = |ports: &[u16]| Steering {
            nat_backends: ports.iter().map(|port| end(*port)).collect(),
            ..Steering::default()
        };
        let pins = bpffs.pins();
        let mut steer = start(&pins, ModeChoice::Auto);
        assert_eq!(steer.add(&wanted(&[80, 81])).unwrap(), 3, "two ends of one address");
        assert_eq!(steer.add(&wanted(&[81])).unwrap(), 0);
        drop(steer);
        let mut steer = start(&pins, ModeChoice::Auto);
        assert_eq!(steer.report().entries, 3, "they outlive the process");
        assert_eq!(steer.retain_only(&wanted(&[81])).unwrap(), 1);
        assert_eq!(steer.retain_only(&wanted(&[])).unwrap(), 2);
    });
}

#[test]
fn detaching_leaves_nothing() {
    with_rig("detaching_leaves_nothing", |bpffs| {
        let pins = bpffs.pins();
        let steer = start(&pins, ModeChoice::Auto);
        let busy = detach(&pins).unwrap_err();
        assert!(matches!(busy, SteerError::InUse { .. }), "{busy}");
        let busy = Steer::load_or_adopt(&pins, &[]).unwrap_err();
        assert!(matches!(busy, SteerError::InUse { .. }), "{busy}");
        drop(steer);
        assert_eq!(detach(&pins).unwrap(), 1);
        assert!(!pins.exists());
        assert_eq!(detach(&pins).unwrap(), 0, "twice is no error");
        // Were the program still there, the kernel would refuse a second one.
        let again = start(&pins, ModeChoice::Auto);
        assert_eq!(again.report().start, Start::Fresh);
        assert_eq!(detached(again), 1);
        assert!(!pins.exists());
    });
}

#[test]
fn a_pin_directory_that_is_the_bpffs_itself_is_as_before_after_detaching() {
    let name = "a_pin_directory_that_is_the_bpffs_itself_is_as_before_after_detaching";
    with_rig(name, |bpffs| {
        let pins = bpffs.path();
        // Some kernels put files of their own into each bpffs.
        let before = std::fs::read_dir(pins).unwrap().count();
        assert_eq!(detached(start(pins, ModeChoice::Auto)), 1);
        assert_eq!(std::fs::read_dir(pins).unwrap().count(), before);
        assert_eq!(detach(pins).unwrap(), 0);
    });
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    with_rig("a_start_that_fails_leaves_nothing", |bpffs| {
        let pins = bpffs.pins();
        let good = port("ens1", ModeChoice::Auto);
        let gone =
            portreeve::steer::PortAttach { ifindex: 9_999, name: "ens9".into(), ..good.clone() };
        let error = Steer::load_or_adopt(&pins, &[good, gone]).unwrap_err();
        assert!(matches!(error, SteerError::Attach { .. }), "{error}");
        assert!(error.to_string().contains("ens9"), "{error}");
        assert!(!pins.exists());
        drop(start(&pins, ModeChoice::Auto));
    });
}

#[test]
fn pins_of_another_network_namespace_are_left_alone() {
    with_rig("pins_of_another_network_namespace_are_left_alone", |bpffs| {
        let pins = bpffs.pins();
        drop(start(&pins, ModeChoice::Auto));
        let error = in_netns(|| {
            veth("ens1", "peer1");
            Steer::load_or_adopt(&pins, &[port("ens1", ModeChoice::Auto)]).unwrap_err()
        });
        assert!(matches!(error, SteerError::ForeignNetns { .. }), "{error}");
        assert_eq!(start(&pins, ModeChoice::Auto).report().start, Start::Adopted);
    });
}

#[test]
fn a_shared_bpffs_is_told_from_a_private_one() {
    if !has_root("a_shared_bpffs_is_told_from_a_private_one") {
        return;
    }
    let shared = Bpffs::mount();
    bpffs::refuse_private(&shared.pins()).unwrap();
    let inside = || {
        use nix::mount::{MsFlags, mount};
        use nix::sched::{CloneFlags, unshare};
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&str>, "/", None::<&str>, private, None::<&str>).unwrap();
        bpffs::refuse_private(&shared.pins()).unwrap();
        let own = Bpffs::mount();
        let error = bpffs::refuse_private(&own.pins()).unwrap_err();
        assert!(matches!(error, SteerError::PrivateMount { .. }), "{error}");
    };
    std::thread::scope(|scope| scope.spawn(inside).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(shared.path().exists());
}

fn detached(steer: Steer) -> usize {
    steer.detach().unwrap()
}

fn links(pins: &Path) -> Vec<String> {
    let names = std::fs::read_dir(pins).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("link_")).collect()
}

fn instance_map(pins: &Path) -> Array<MapData, [u8; 24]> {
    let data = MapData::from_pin(pins.join(Map::INSTANCE.name)).unwrap();
    aya::maps::Map::from_map_data(data).unwrap().try_into().unwrap()
}

fn instance(pins: &Path) -> Instance {
    transmute!(instance_map(pins).get(&0, 0).unwrap())
}

fn write_instance(pins: &Path, instance: Instance) {
    let bytes: [u8; 24] = transmute!(instance);
    instance_map(pins).set(0, bytes, 0).unwrap();
}
