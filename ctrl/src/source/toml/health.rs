use std::ops::RangeInclusive;
use std::time::Duration;

use hyper::Uri;
use hyper::header::HeaderValue;
use toml::de::DeValue;

use super::item::Item;
use super::keys;
use super::section::Section;
use super::value;
use crate::desired::health::{HealthCheck, HttpProbe, Probe, ProbeKind};

/// Milliseconds between probes, and for one.
const INTERVAL: RangeInclusive<u64> = 100..=3_600_000;
const TIMEOUT: RangeInclusive<u64> = 10..=3_600_000;
/// Outcomes in a row.
const ROW: RangeInclusive<u64> = 1..=100;
const STATUS: RangeInclusive<u64> = 100..=599;
/// What a server answers that is well: success or elsewhere.
const GOOD: RangeInclusive<u16> = 200..=399;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Http,
    Icmp,
}

/// Decodes `[service.health]`.
pub fn check(item: &Item<'_, '_>) -> Option<HealthCheck> {
    let DeValue::Table(table) = item.value.get_ref() else {
        item.wrong_type("a table", "{ kind = \"http\", path = \"/healthz\" }");
        return None;
    };
    let section =
        Section::open(item.reader, table, item.value.span(), item.name.clone(), keys::HEALTH);
    let kinds = [("tcp", Kind::Tcp), ("http", Kind::Http), ("icmp", Kind::Icmp)];
    let kind = section.need("kind", "\"tcp\"", |item| item.word(&kinds));
    let http = http(&section);
    let port = section.read("port", |item| Some(item.located(item.port()?)));
    let probe = Probe {
        kind: match kind? {
            Kind::Tcp => ProbeKind::Tcp,
            Kind::Http => ProbeKind::Http(http),
            Kind::Icmp => ProbeKind::Icmp,
        },
        interval: section
            .read("interval", |item| value::time(item, INTERVAL))
            .unwrap_or(Duration::from_secs(2)),
        timeout: section
            .read("timeout", |item| value::time(item, TIMEOUT))
            .unwrap_or(Duration::from_secs(1)),
        rise: row(&section, "rise", 2),
        fall: row(&section, "fall", 3),
    };
    keys_that_say_nothing(&section, kind?);
    fits(&section, &probe);
    Some(HealthCheck {
        probe,
        port,
        reset_on_fail: section.read("reset_on_fail", Item::truth).unwrap_or(false),
        panic: section.read("panic", Item::truth).unwrap_or(true),
    })
}

fn row(section: &Section<'_, '_>, key: &'static str, default: u32) -> u32 {
    section.read(key, |item| item.integer(ROW)).map_or(default, |count| count as u32)
}

fn http(section: &Section<'_, '_>) -> HttpProbe {
    HttpProbe {
        path: section.read("path", path).unwrap_or_else(|| "/".into()),
        host: section.read("host", host),
        status: section.read("status", status).unwrap_or(GOOD),
    }
}

/// A key of another kind would be believed to have an effect.
fn keys_that_say_nothing(section: &Section<'_, '_>, kind: Kind) {
    let of_http: &[&'static str] =
        if kind == Kind::Http { &[] } else { &["path", "host", "status"] };
    let of_ports: &[&'static str] = if kind == Kind::Icmp { &["port"] } else { &[] };
    for item in of_http.iter().chain(of_ports).filter_map(|key| section.item(key)) {
        let what = format!("{} says nothing to this kind of check", item.name);
        let help = if kind == Kind::Icmp {
            "remove it, or choose another kind: icmp asks the address as a whole"
        } else {
            "remove it, or write kind = \"http\""
        };
        item.wrong(what, help);
    }
}

/// A probe is over before the next begins.
fn fits(section: &Section<'_, '_>, probe: &Probe) {
    if probe.timeout <= probe.interval {
        return;
    }
    if let Some(item) = section.item("timeout").or_else(|| section.item("interval")) {
        let Probe { timeout, interval, .. } = probe;
        item.wrong(
            format!(
                "{}: a timeout of {timeout:?} is longer than the interval, {interval:?}",
                item.name
            ),
            "a probe must be over before the next begins: lengthen `interval` or shorten `timeout`",
        );
    }
}

fn path(item: &Item<'_, '_>) -> Option<String> {
    let text = item.text("\"/healthz\"")?;
    if text.starts_with('/') && text.parse::<Uri>().is_ok() {
        return Some(text.to_owned());
    }
    let what = format!("{} is \"{text}\", which no request can ask for", item.name);
    item.wrong(what, "write a path from the root, for example \"/healthz\"");
    None
}

fn host(item: &Item<'_, '_>) -> Option<String> {
    let text = item.text("\"shop.example\"")?;
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !text.is_empty() && visible && HeaderValue::from_str(text).is_ok() {
        return Some(text.to_owned());
    }
    item.wrong(
        format!("{} is \"{text}\", which cannot be a Host header", item.name),
        "write a name, with a port if need be, for example \"shop.example\"",
    );
    None
}

/// One status, or `"first-last"`.
fn status(item: &Item<'_, '_>) -> Option<RangeInclusive<u16>> {
    let DeValue::String(text) = item.value.get_ref() else {
        let one = item.integer(STATUS)? as u16;
        return Some(one..=one);
    };
    let number = |text: &str| {
        let number = text.trim().parse::<u16>().ok()?;
        STATUS.contains(&u64::from(number)).then_some(number)
    };
    let range = text.split_once('-').and_then(|(a, b)| Some((number(a)?, number(b)?)));
    match range {
        Some((first, last)) if first <= last => Some(first..=last),
        _ => {
            let what = format!("{} is \"{text}\", which are no status codes", item.name);
            item.wrong(what, "write one as a number, 200, or first and last, \"200-299\"");
            None
        }
    }
}
