use std::num::NonZeroU16;

use super::item::Item;
use super::section::Section;
use super::value;
use crate::desired::{Affinity, Located, PolicySettings};

/// The smallest MSS that Linux accepts (`TCP_MIN_MSS`), to the largest that an IPv4 packet holds.
const MSS: std::ops::RangeInclusive<u64> = 88..=65_495;

/// What a service does besides balancing.
pub fn policy(section: &Section<'_, '_>) -> PolicySettings {
    let affinities = [("none", Affinity::None), ("client", Affinity::Client)];
    PolicySettings {
        affinity: section.read("affinity", |item| item.word(&affinities)).unwrap_or_default(),
        allow: section.read("allow", allow).unwrap_or_default(),
        deny: section.read("deny", value::prefixes).unwrap_or_default(),
        hairpin: section.read("hairpin", value::prefixes).unwrap_or_default(),
        mss: section.read("mss", mss),
        stateless_replies: section
            .read("stateless_replies", |item| Some(item.located(item.truth()?))),
    }
}

/// An empty list could mean "all" as well as "nobody"; whoever leaves the key out means all.
fn allow(item: &Item<'_, '_>) -> Option<Vec<Located<ipnet::IpNet>>> {
    if item.value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
        let what = format!("{} is empty, so nobody would be served", item.name);
        item.wrong(what, "leave it out to serve everybody, or name prefixes");
        return None;
    }
    value::prefixes(item)
}

fn mss(item: &Item<'_, '_>) -> Option<Located<NonZeroU16>> {
    let bytes = item.integer(MSS)?;
    Some(item.located(NonZeroU16::new(u16::try_from(bytes).ok()?)?))
}
