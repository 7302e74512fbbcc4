use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use dataplane::addr::Proto;
use dataplane::tables::frontend::Mode;
use toml::de::{DeTable, DeValue};

use super::item::Item;
use super::section::Section;
use super::{Reader, health, keys, policy, settings, value};
use crate::desired::{Announce, BackendSettings, Located, Service, ServicePort};

/// Modes that have a name already but do not work yet (design section 5).
const LATER: [&str; 2] = ["dsr-ipip", "dsr-geneve"];

/// Decodes one service. What is wrong is reported and left out, so that the rest can still be
/// looked at.
pub fn service(reader: &Reader, table: &DeTable<'_>, span: Range<usize>) -> Service {
    let mut section = Section::open(reader, table, span, "[[service]]", keys::SERVICE);
    let name = section.need("name", "\"svc1\"", settings::name);
    if let Some(name) = &name {
        section.rename(format!("[[service]] \"{}\"", name.value));
    }
    let name = name.unwrap_or_else(|| Located::nowhere(String::new()));
    Service {
        name: Located { value: name.value.as_str().into(), place: name.place },
        vips: vips(&section),
        announce: section.read("announce", announce).unwrap_or_default(),
        mode: section.read("mode", mode).unwrap_or(Mode::Snat),
        snat_addresses: section.read("snat_addresses", value::addresses).unwrap_or_default(),
        ports: section
            .need("ports", "[ { port = 80, protocol = \"tcp\", target = 80 } ]", ports)
            .unwrap_or_default(),
        backends: section.read("backends", backends).unwrap_or_default(),
        table_size: section.read("table_size", value::table_size),
        health: section.read("health", health::check).map(Arc::new),
        policy: policy::policy(&section),
    }
}

fn vips(section: &Section<'_, '_>) -> Vec<Located<IpAddr>> {
    match (section.item("vip"), section.item("vips")) {
        (Some(vip), None) => value::address(&vip).into_iter().collect(),
        (None, Some(vips)) => {
            if vips.value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
                let what = format!("{} is empty, so nobody can reach the service", vips.name);
                vips.wrong(what, "write at least one address, for example [\"10.10.200.1\"]");
            }
            value::addresses(&vips).unwrap_or_default()
        }
        (Some(vip), Some(vips)) => {
            let what = format!("{} has both `vip` and `vips`", section.title());
            vips.wrong(what, "put all addresses into `vips`");
            value::address(&vip)
                .into_iter()
                .chain(value::addresses(&vips).unwrap_or_default())
                .collect()
        }
        (None, None) => {
            section.missing(
                &format!("{} has no `vip`", section.title()),
                "add vip = \"10.10.200.1\" (or vips = [...])",
            );
            Vec::new()
        }
    }
}

fn mode(item: &Item<'_, '_>) -> Option<Mode> {
    let text = item.text("\"snat\"")?;
    if LATER.contains(&text) {
        let what = format!("{} is \"{text}\", which is not available yet", item.name);
        item.wrong(what, "write \"snat\", which works with any backend");
        return None;
    }
    item.word(&[Mode::Snat, Mode::Nat, Mode::DsrL2].map(|mode| (mode.name(), mode)))
}

/// Where an address is announced.
pub fn announce(item: &Item<'_, '_>) -> Option<Announce> {
    match item.value.get_ref() {
        DeValue::Array(list) if list.is_empty() => {
            item.wrong(
                format!("{} is an empty list", item.name),
                "write \"none\" if the VIP is routed to this gateway, else name ports",
            );
            None
        }
        DeValue::Array(_) => {
            let names = item.list("[\"ens5\"]")?;
            Some(Announce::Ports(names.iter().filter_map(settings::interface).collect()))
        }
        DeValue::String(text) if text == "all" => Some(Announce::All),
        DeValue::String(text) if text == "none" => Some(Announce::None),
        DeValue::String(text) => {
            item.wrong(
                format!("{} is \"{text}\", which is not known", item.name),
                format!("it can be \"all\", \"none\" or a list of ports such as [\"{text}\"]"),
            );
            None
        }
        _ => {
            item.wrong_type("\"all\", \"none\" or a list of ports", "[\"ens5\"]");
            None
        }
    }
}

fn ports(item: &Item<'_, '_>) -> Option<Vec<ServicePort>> {
    let list = item.list("[ { port = 80 } ]")?;
    if list.is_empty() {
        let what = format!("{} is empty, so nobody can reach the service", item.name);
        item.wrong(what, "write at least one, for example [ { port = 80 } ]");
    }
    Some(list.iter().filter_map(port).collect())
}

fn port(item: &Item<'_, '_>) -> Option<ServicePort> {
    let DeValue::Table(table) = item.value.get_ref() else {
        item.wrong_type("a table", "{ port = 80, protocol = \"tcp\", target = 80 }");
        return None;
    };
    let section =
        Section::open(item.reader, table, item.value.span(), item.name.clone(), keys::SERVICE_PORT);
    let port = section.need("port", "80", |item| Some(item.located(item.port()?)));
    let protocols = [("tcp", Proto::Tcp), ("udp", Proto::Udp)];
    let proto = match section.item("protocol") {
        Some(item) => item.word(&protocols),
        None => Some(Proto::Tcp),
    };
    let target = section.read("target", Item::port);
    let port = port?;
    Some(ServicePort { target: target.unwrap_or(port.value), port, proto: proto? })
}

fn backends(item: &Item<'_, '_>) -> Option<Vec<BackendSettings>> {
    let list = item.list("[ \"172.16.1.93\", { address = \"172.16.2.115\", port = 8080 } ]")?;
    Some(list.iter().filter_map(backend).collect())
}

fn backend(item: &Item<'_, '_>) -> Option<BackendSettings> {
    match item.value.get_ref() {
        DeValue::String(_) => {
            let address = value::address(item)?;
            Some(BackendSettings { address, port: None, weight: 100 })
        }
        DeValue::Table(table) => {
            let section = Section::open(
                item.reader,
                table,
                item.value.span(),
                item.name.clone(),
                keys::BACKEND,
            );
            let address = section.need("address", "\"172.16.1.93\"", value::address);
            let port = section.read("port", Item::port);
            let weight = section.read("weight", |item| item.integer(0..=u64::from(u16::MAX)));
            let weight = weight.map_or(100, |weight| weight as u16);
            Some(BackendSettings { address: address?, port, weight })
        }
        _ => {
            item.wrong_type(
                "an address or a table",
                "\"172.16.1.93\" or { address = \"172.16.1.93\", weight = 50 }",
            );
            None
        }
    }
}
