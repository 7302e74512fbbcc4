use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use dataplane::tables::flow_hash::HashSeeds;
use dataplane::tables::maglev::TABLE_SIZES;
use ipnet::IpNet;
use toml::de::DeValue;

use super::item::Item;
use crate::desired::{Located, PortSpan, TableSize};

/// An IP address.
pub fn address(item: &Item<'_, '_>) -> Option<Located<IpAddr>> {
    let text = item.text("\"10.10.200.1\" or \"fd00::1\"")?;
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            None => Some(item.located(IpAddr::V6(v6))),
            Some(v4) => {
                mapped(item, text, &v4.to_string());
                None
            }
        },
        Ok(v4) => Some(item.located(v4)),
        Err(_) => {
            item.wrong(
                format!("{} is \"{text}\", which is not an IP address", item.name),
                hint(text),
            );
            None
        }
    }
}

fn mapped(item: &Item<'_, '_>, text: &str, v4: &str) {
    let what = format!("{} is \"{text}\", an IPv4 address written as IPv6", item.name);
    item.wrong(what, format!("write \"{v4}\""));
}

/// What somebody probably meant who wrote this for an address.
fn hint(text: &str) -> String {
    if let Some((addr, _)) = text.split_once('/')
        && addr.parse::<IpAddr>().is_ok()
    {
        return format!("an address has no prefix length here: write \"{addr}\"");
    }
    if let Some((addr, zone)) = text.split_once('%')
        && addr.parse::<IpAddr>().is_ok()
    {
        return format!(
            "link-local addresses with a zone (%{zone}) are not supported: use a global one"
        );
    }
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return format!("the port stands apart: write \"{}\" here", socket.ip());
    }
    if text.chars().any(|c| c.is_ascii_alphabetic()) && !text.contains(':') {
        return "names are not resolved: write the address, for example \"172.16.1.93\"".into();
    }
    "write four numbers from 0 to 255 (\"172.16.1.93\") or an IPv6 address (\"fd00::1\")".into()
}

/// An array of addresses.
pub fn addresses(item: &Item<'_, '_>) -> Option<Vec<Located<IpAddr>>> {
    let list = item.list("[\"172.16.1.1\"]")?;
    Some(list.iter().filter_map(address).collect())
}

/// A prefix; an address alone stands for itself.
pub fn prefix(item: &Item<'_, '_>) -> Option<Located<IpNet>> {
    let text = item.text("\"10.0.0.0/8\" or \"fd00::/8\"")?;
    if !text.contains('/') {
        return address(item).map(|addr| Located { value: addr.value.into(), place: addr.place });
    }
    let Ok(net) = text.parse::<IpNet>() else {
        let what = format!("{} is \"{text}\", which is not a prefix", item.name);
        item.wrong(
            what,
            "write an address and a length, for example \"10.0.0.0/8\" or \"fd00::/8\"",
        );
        return None;
    };
    if net.trunc() != net {
        let length = net.prefix_len();
        let what =
            format!("{} is \"{text}\", which has bits beyond its length {length}", item.name);
        item.wrong(what, format!("write \"{}\"", net.trunc()));
        return None;
    }
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && let Some(v4) = v6.addr().to_ipv4_mapped()
    {
        mapped(item, text, &format!("{v4}/{}", v6.prefix_len() - 96));
        return None;
    }
    Some(item.located(net))
}

/// An array of prefixes.
pub fn prefixes(item: &Item<'_, '_>) -> Option<Vec<Located<IpNet>>> {
    let list = item.list("[\"10.0.0.0/8\"]")?;
    Some(list.iter().filter_map(prefix).collect())
}

/// An address with a port.
pub fn socket(item: &Item<'_, '_>) -> Option<SocketAddr> {
    let text = item.text("\"127.0.0.1:9100\"")?;
    let socket = text.parse().ok();
    if socket.is_none() {
        let what = format!("{} is \"{text}\", which is not an address with a port", item.name);
        item.wrong(what, "for example \"127.0.0.1:9100\" or \"[::1]:9100\"");
    }
    socket
}

/// A path from the root.
pub fn path(item: &Item<'_, '_>) -> Option<PathBuf> {
    let text = item.text("\"/run/portreeve/api.sock\"")?;
    let path = PathBuf::from(text);
    if path.is_absolute() {
        return Some(path);
    }
    item.wrong(
        format!("{} is \"{text}\", which depends on where portreeve is started", item.name),
        format!("write the whole path, for example \"/run/portreeve/{text}\""),
    );
    None
}

/// `"first-last"`.
pub fn span(item: &Item<'_, '_>) -> Option<Located<PortSpan>> {
    let text = item.text("\"1024-65535\"")?;
    let number = |text: &str| text.trim().parse::<u16>().ok();
    let Some((first, last)) =
        text.split_once('-').and_then(|(a, b)| Some((number(a)?, number(b)?)))
    else {
        let what = format!("{} is \"{text}\", which is not a port range", item.name);
        item.wrong(what, "write first and last port, for example \"1024-65535\"");
        return None;
    };
    if first > last {
        let what = format!("{} is \"{text}\", which ends before it begins", item.name);
        item.wrong(what, format!("write \"{last}-{first}\""));
        return None;
    }
    Some(item.located(first..=last))
}

/// `"60s"` in milliseconds.
pub fn duration(item: &Item<'_, '_>) -> Option<u32> {
    let (text, ms) = written_time(item)?;
    if ms == 0 {
        let what = format!("{} is 0, so every flow would end at once", item.name);
        item.wrong(what, "write how long a silent flow is kept, for example \"60s\"");
        return None;
    }
    let fits = u32::try_from(ms).ok();
    if fits.is_none() {
        item.wrong(format!("{} is \"{text}\", which is too long", item.name), "at most \"1193h\"");
    }
    fits
}

/// A time within bounds, which are milliseconds.
pub fn time(item: &Item<'_, '_>, range: RangeInclusive<u64>) -> Option<Duration> {
    let (text, ms) = written_time(item)?;
    if range.contains(&ms) {
        return Some(Duration::from_millis(ms));
    }
    let [least, most] = [*range.start(), *range.end()].map(|ms| match ms {
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    });
    let what = format!("{} is \"{text}\", which is out of range", item.name);
    item.wrong(what, format!("write a time from {least} to {most}"));
    None
}

/// What is written, and the milliseconds that it means.
fn written_time<'t>(item: &Item<'_, 't>) -> Option<(&'t str, u64)> {
    if let Some(number) = item.value.get_ref().as_integer() {
        let what = format!("{} is {number} without a unit", item.name);
        item.wrong(what, format!("write \"{number}s\" if seconds are meant"));
        return None;
    }
    let text = item.text("\"60s\"")?;
    let ms = milliseconds(text);
    if ms.is_none() {
        let what = format!("{} is \"{text}\", which is not a duration", item.name);
        item.wrong(what, "write a whole number with ms, s, m or h, for example \"60s\"");
    }
    Some((text, ms?))
}

/// `60s`, `250ms`, `2h` in milliseconds; `None` when it is no whole number with such a unit.
#[must_use]
pub fn milliseconds(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim() {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// `"auto"` or one of Cilium's table sizes.
pub fn table_size(item: &Item<'_, '_>) -> Option<Located<TableSize>> {
    let sizes = TABLE_SIZES.map(|size| size.to_string()).join(", ");
    if let DeValue::String(text) = item.value.get_ref() {
        if text == "auto" {
            return Some(item.located(TableSize::Auto));
        }
        let what = format!("{} is \"{text}\", which is not a table size", item.name);
        item.wrong(what, format!("write \"auto\", or without quotes one of: {sizes}"));
        return None;
    }
    let size = item.integer(1..=u64::from(u32::MAX))?;
    let known = TABLE_SIZES.iter().find(|known| u64::from(**known) == size);
    if known.is_none() {
        let nearest = TABLE_SIZES.iter().min_by_key(|known| u64::from(**known).abs_diff(size))?;
        item.wrong(
            format!("{} is {size}, which is not one of Cilium's table sizes", item.name),
            format!("the nearest is {nearest}; it can be \"auto\" or one of: {sizes}"),
        );
    }
    known.map(|size| item.located(TableSize::Fixed(*size)))
}

/// Twelve bytes as base64, as Cilium writes them.
pub fn seed(item: &Item<'_, '_>) -> Option<Located<HashSeeds>> {
    let text = item.text("\"JLfvgnHc2kaSUFaI\"")?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok();
    let length = bytes.as_ref().map(Vec::len);
    let seed: Option<[u8; 12]> = bytes.and_then(|bytes| bytes.try_into().ok());
    if seed.is_none() {
        let why = match length {
            Some(length) => format!("{length} bytes long"),
            None => "not base64".into(),
        };
        item.wrong(
            format!("{} is \"{text}\", which is {why}", item.name),
            "write 12 bytes as base64, as in Cilium's maglev.hashSeed: `head -c12 /dev/urandom | base64 -w0`",
        );
    }
    seed.map(|seed| item.located(HashSeeds::from_bytes(seed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_do_not_overflow() {
        assert_eq!(milliseconds("60s"), Some(60_000));
        assert_eq!(milliseconds("250 ms"), Some(250));
        assert_eq!(milliseconds("2h"), Some(7_200_000));
        for bad in ["", "s", "60", "1.5s", "-1s", "6d", "99999999999999999999h"] {
            assert_eq!(milliseconds(bad), None, "{bad}");
        }
    }
}
