use super::*;
use crate::kubernetes::api::metadata::Key;
use crate::source::toml::load;
use crate::topology::Topology;

const FILE: &str = "[[port]]\nname = \"ens5\"\n[snat]\naddresses = [\"10.8.0.1\"]\n\
    [[service]]\nname = \"file\"\nvip = \"10.9.0.1\"\nports = [{ port = 80 }]\nbackends = [\"10.1.0.1\"]\n";

pub(super) fn file() -> Desired {
    load("t", FILE).unwrap().desired
}

/// A service of the cluster: `name vip backend`.
pub(super) fn wish(words: &str) -> ClusterService {
    let [name, vip, backend] = words.split(' ').collect::<Vec<_>>()[..] else { panic!("{words}") };
    let text = format!(
        "[[port]]\nname = \"ens5\"\n[[service]]\nname = \"{name}\"\nvip = \"10.9.0.99\"\n\
         ports = [{{ port = 80 }}]\nbackends = [\"10.1.0.99\"]\nannounce = \"none\"\n"
    );
    let mut service = (*load("t", &text).unwrap().desired.services[0]).clone();
    service.vips[0].value = vip.parse().unwrap();
    service.backends[0].address.value = backend.parse().unwrap();
    let object = Key { namespace: "default".into(), name: name.into() };
    ClusterService { object, uid: String::new(), service: Arc::new(service) }
}

fn snapshot(wishes: &[ClusterService]) -> Snapshot {
    let services = wishes.iter().cloned().map(Arc::new).collect();
    Snapshot { services, ..Snapshot::default() }
}

fn merge(merger: &mut Merger, wishes: &[ClusterService]) -> Merged {
    let topology = Topology::default();
    let file = file();
    merger.merge(&file, &snapshot(wishes), &OnHost::new(&file, &topology))
}

fn names(merged: &Merged) -> Vec<&str> {
    merged.desired.services.iter().map(|service| &*service.name.value).collect()
}

fn reasons(merged: &Merged) -> Vec<&str> {
    merged.complaints.iter().map(|complaint| complaint.reason).collect()
}

#[test]
fn the_file_comes_first_then_the_older_object() {
    let wishes = [
        wish("a 10.9.0.1 10.1.0.2"),
        wish("b 10.9.0.2 10.1.0.2"),
        wish("c 10.9.0.2 10.1.0.3"),
        wish("file 10.9.0.3 10.1.0.3"),
    ];
    let merged = merge(&mut Merger::default(), &wishes);
    assert_eq!(names(&merged), ["file", "b"]);
    assert_eq!(reasons(&merged), ["AddressInUse", "AddressInUse", "NameInUse"]);
    assert!(merged.complaints[1].message.ends_with("10.9.0.2 port 80/tcp belongs to b"));
}

#[test]
fn packets_never_come_back_to_us() {
    let wishes = [
        wish("a 10.1.0.1 10.1.0.2"),
        wish("b 10.9.0.2 10.9.0.1"),
        wish("c 10.9.0.3 10.9.0.3"),
        wish("d 10.9.0.4 10.8.0.1"),
        wish("e 10.9.0.5 127.0.0.1"),
    ];
    let merged = merge(&mut Merger::default(), &wishes);
    assert_eq!(names(&merged), ["file"]);
    let want =
        ["AddressInUse", "BackendInvalid", "BackendInvalid", "BackendInvalid", "ServiceInvalid"];
    assert_eq!(reasons(&merged), want);
}

#[test]
fn what_all_take_together_is_valid() {
    let wishes: Vec<_> =
        (1..200).map(|n| wish(&format!("s{n} 10.9.{}.1 10.1.0.{}", n % 40, n % 50))).collect();
    let merged = merge(&mut Merger::default(), &wishes);
    let wrong = crate::validate::validate(&merged.desired);
    assert!(wrong.iter().all(|problem| !problem.is_error()), "{wrong:?}");
    assert_eq!(merged.desired.services.len() - 1, merged.taken.len());
    assert_eq!(merged.taken.len() + merged.complaints.len(), wishes.len());
}

#[test]
fn an_address_of_the_host_is_not_taken_from_it() {
    let file = file();
    let net = "10.9.0.2/24".parse().unwrap();
    let held = crate::topology::LinkAddress { ifindex: 1, net, global: true, permanent: true };
    let topology = Topology { addresses: vec![held], ..Topology::default() };
    let wishes = snapshot(&[wish("a 10.9.0.2 10.1.0.2"), wish("b 10.9.0.3 10.1.0.2")]);
    let merged = Merger::default().merge(&file, &wishes, &OnHost::new(&file, &topology));
    assert_eq!(names(&merged), ["file", "b"]);
    assert!(merged.complaints[0].message.contains("is an address of this host"));
}

#[test]
fn what_cilium_was_told_holds_where_the_file_says_nothing() {
    let mut hints = snapshot(&[]);
    hints.maglev.table_size = Some(4_093);
    let topology = Topology::default();
    let size = |text: &str| {
        let file = load("t", text).unwrap().desired;
        let merged = Merger::default().merge(&file, &hints, &OnHost::new(&file, &topology));
        merged.desired.maglev.table_size.value
    };
    assert_eq!(size(FILE), TableSize::Fixed(4_093));
    assert_eq!(size(&format!("{FILE}[maglev]\ntable_size = \"auto\"\n")), TableSize::Auto);
}

#[test]
fn what_did_not_change_is_judged_once() {
    let mut merger = Merger::default();
    let wishes = [wish("a 10.9.0.2 10.1.0.2"), wish("b 10.9.0.3 127.0.0.1")];
    let first = merge(&mut merger, &wishes);
    assert_eq!(merger.judged.len(), 2);
    let again = merge(&mut merger, &wishes[1..]);
    assert_eq!((merger.judged.len(), reasons(&again)), (1, vec!["ServiceInvalid"]));
    assert!(Arc::ptr_eq(&first.desired.services[1], &wishes[0].service));
}
