//! What `portreeve diff` says about a change.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use portreeve::desired::Desired;
use portreeve::diff::{Diff, Shift, diff};
use portreeve::source::toml::load;

const BASE: &str = include_str!("fixtures/three-services.toml");
const BACKENDS: &str = "\"172.16.1.93\", \"172.16.2.115\"";

fn desired(text: &str) -> Desired {
    load("test.toml", text).unwrap().desired
}

fn change(from: &str, to: &str) -> Diff {
    let new = BASE.replacen(from, to, 1);
    assert_ne!(new, BASE);
    diff(&desired(BASE), &desired(&new))
}

/// `count` backends as an array's inside.
fn backends(count: usize) -> String {
    (1..=count).map(|n| format!("\"172.16.1.{n}\", ")).collect()
}

#[test]
fn the_same_file_makes_no_difference_wherever_its_lines_stand() {
    let moved =
        format!("# a comment\n\n{BASE}").replace(BACKENDS, "\"172.16.2.115\", \"172.16.1.93\"");
    let diff = diff(&desired(BASE), &desired(&moved));
    assert!(diff.is_empty(), "{diff}");
    assert_eq!(diff.to_string(), "no difference\n");
}

#[test]
fn a_removed_backend_moves_and_ends_the_half_that_it_had() {
    let diff = change(BACKENDS, "\"172.16.2.115\"");
    let [service] = diff.changed.as_slice() else { panic!("{diff}") };
    assert_eq!(service.changes, ["- backend 172.16.1.93"]);
    let flows = service.flows.unwrap();
    assert!((0.48..0.52).contains(&flows.moved) && flows.moved == flows.ended, "{flows:?}");
}

#[test]
fn a_drained_backend_moves_new_flows_and_ends_none() {
    let drained = "{ address = \"172.16.1.93\", weight = 0 }, \"172.16.2.115\"";
    let diff = change(BACKENDS, drained);
    let [service] = diff.changed.as_slice() else { panic!("{diff}") };
    assert_eq!(service.changes, ["~ backend 172.16.1.93 weight 100 -> 0 (drains)"]);
    let flows = service.flows.unwrap();
    assert!(flows.moved > 0.48 && flows.ended == 0.0, "{flows:?}");
}

#[test]
fn another_check_is_said_and_moves_nothing() {
    let checked = format!("{BACKENDS}]\nhealth = {{ kind = \"http\", path = \"/up\" }}\n");
    let diff = change(&format!("{BACKENDS}]"), &checked);
    let [service] = diff.changed.as_slice() else { panic!("{diff}") };
    assert_eq!(service.changes, ["~ health check none -> http /up each 2s within 1s, 2/3"]);
    assert_eq!(service.flows, Some(Shift::default()));
}

#[test]
fn an_added_backend_takes_its_share_and_little_more() {
    let diff = change(BACKENDS, &format!("{BACKENDS}, \"172.16.1.94\""));
    let flows = diff.changed[0].flows.unwrap();
    assert!((0.33..0.40).contains(&flows.moved) && flows.ended == 0.0, "{flows:?}");
}

#[test]
fn auto_that_crosses_a_step_is_named_and_moves_most_flows() {
    let ten = BASE.replacen(BACKENDS, &backends(10), 1);
    let eleven = BASE.replacen(BACKENDS, &backends(11), 1);
    let diff = diff(&desired(&ten), &desired(&eleven));
    let changes = &diff.changed[0].changes;
    let want = "~ table size 1021 -> 4093 (auto crosses a step: 10 -> 11 backends)";
    assert!(changes.iter().any(|change| change == want), "{changes:?}");
    assert!(diff.changed[0].flows.unwrap().moved > 0.5, "{diff}");
}

#[test]
fn another_fixed_size_is_no_step_of_auto() {
    let diff = change("[gateway]", "[maglev]\ntable_size = 251\n[gateway]");
    let changes = &diff.changed[0].changes;
    assert_eq!(changes, &["~ table size 1021 -> 251"]);
    assert_eq!(diff.changed.len(), 3, "{diff}");
}

#[test]
fn another_seed_deals_the_flows_anew() {
    let diff = change("[gateway]", "[maglev]\nseed = \"AAECAwQFBgcICQoL\"\n[gateway]");
    assert_eq!(diff.changed.len(), 3, "{diff}");
    for service in &diff.changed {
        let moved = service.flows.unwrap().moved;
        assert!((0.48..0.52).contains(&moved), "two backends, so half stays by chance: {moved}");
    }
}

#[test]
fn a_renamed_service_keeps_its_flows() {
    let diff = change("name = \"svc1\"", "name = \"shop\"");
    assert!(diff.added.is_empty() && diff.removed.is_empty(), "{diff}");
    let [service] = diff.changed.as_slice() else { panic!("{diff}") };
    assert_eq!(
        (service.name.as_str(), &*service.changes),
        ("shop", &["~ was called svc1".into()][..])
    );
    assert_eq!(service.flows, Some(Shift::default()));
}

#[test]
fn services_and_ports_come_and_go_by_name() {
    let other = "name = \"other\"\nvip = \"10.10.200.4\"";
    let diff = change("name = \"svc2\"\nvip = \"10.10.200.2\"", other);
    assert_eq!(diff.removed, ["service svc2: 10.10.200.2 port 80/tcp, 2 backends"]);
    assert_eq!(diff.added, ["service other: 10.10.200.4 port 80/tcp, 2 backends"]);
    let diff = change("[[port]]\nname = \"ens7\"", "[[port]]\nname = \"ens8\"");
    let want = ["port ens7 is removed (needs a restart)", "port ens8 is added (needs a restart)"];
    assert_eq!(diff.settings, want);
}

#[test]
fn settings_say_whether_they_need_a_restart() {
    let diff = change("[gateway]", "[worker]\nflows = 4096\n[timeouts]\nudp = \"30s\"\n[gateway]");
    let want =
        ["worker.flows 1048576 -> 4096 (needs a restart)", "timeouts.udp 60000 ms -> 30000 ms"];
    assert_eq!(diff.settings, want);
}

#[test]
fn the_text_is_what_an_operator_reads() {
    let diff = change(BACKENDS, "\"172.16.2.115\", { address = \"172.16.1.94\", port = 8080 }");
    let text = diff.to_string();
    let want = "\
~ service svc1
    - backend 172.16.1.93
    + backend 172.16.1.94:8080 (weight 100)
";
    assert!(text.starts_with(want), "{text}");
    assert!(text.contains("% of new flows would reach another backend"), "{text}");
    assert!(text.contains("% of established flows end with their backend"), "{text}");
}

#[test]
fn a_change_of_mode_says_whose_flows_end() {
    let nat = BASE.replacen("ports = ", "mode = \"nat\"\nports = ", 1);
    let there = diff(&desired(BASE), &desired(&nat));
    assert_eq!(there.changed[0].changes, ["~ mode snat -> nat"]);
    let back = diff(&desired(&nat), &desired(BASE));
    assert_eq!(back.changed[0].changes, ["~ mode nat -> snat (its established flows end)"]);
}

#[test]
fn policies_and_router_addresses_have_a_line_each() {
    let policy = "allow = [\"10.0.0.0/8\"]\ndeny = [\"10.1.0.0/16\"]\naffinity = \"client\"\n\
                  mss = 1300\nports = ";
    let diff = change("ports = ", policy);
    let want = [
        "~ affinity none -> client (clients choose their backends anew)",
        "+ allow 10.0.0.0/8",
        "+ deny 10.1.0.0/16",
        "~ mss as announced -> 1300",
    ];
    assert_eq!(diff.changed[0].changes, want);
    let diff = change("[[service]]", "[[router]]\naddress = \"172.16.1.254\"\n[[service]]");
    assert_eq!(diff.settings, ["router address 172.16.1.254 is added"]);
}
