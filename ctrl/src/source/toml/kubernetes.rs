use std::ops::RangeInclusive;

use super::item::Item;
use super::section::Section;
use super::{keys, value};
use crate::desired::kubernetes::{IpamMode, KubernetesSettings, OnApiLoss, Reach};

/// Kubernetes' limit for the name of a node (RFC 1123 subdomain), in bytes.
const NODE_NAME_MAX: usize = 253;
/// The same for a namespace (RFC 1123 label).
const NAMESPACE_MAX: usize = 63;

/// How long a lease may last, in milliseconds. The API knows whole seconds, and a gateway that is gone is
/// missed for so long.
const LEASE: RangeInclusive<u64> = 1_000..=3_600_000;
/// The same for attempts to renew it.
const ATTEMPT: RangeInclusive<u64> = 50..=3_600_000;

/// The cluster; `None` without such a section.
pub fn settings(top: &Section<'_, '_>) -> Option<KubernetesSettings> {
    let section = top.sub("kubernetes", keys::KUBERNETES)?;
    let mut settings = KubernetesSettings {
        kubeconfig: section.read("kubeconfig", value::path),
        context: section.read("context", |item| Some(item.text("\"lab\"")?.to_owned())),
        node: section.read("node", |item| name(item, "\"gateway1\"", NODE_NAME_MAX, ".-")),
        ..KubernetesSettings::default()
    };
    let namespace = |item: &Item<'_, '_>| name(item, "\"kube-system\"", NAMESPACE_MAX, "-");
    if let Some(namespace) = section.read("namespace", namespace) {
        settings.namespace = namespace;
    }
    let reach = [("auto", Reach::Auto), ("pods", Reach::Pods), ("nodeport", Reach::NodePort)];
    settings.reach = section.read("reach", |item| item.word(&reach)).unwrap_or_default();
    settings.pod_routes = section.read("pod_routes", Item::truth).unwrap_or_default();
    let loss = [("release", OnApiLoss::Release), ("hold", OnApiLoss::Hold)];
    settings.on_api_loss = section.read("on_api_loss", |item| item.word(&loss)).unwrap_or_default();
    let lasts = |key, range| section.read(key, |item| value::time(item, range));
    settings.lease_duration = lasts("lease_duration", LEASE);
    settings.renew_deadline = lasts("renew_deadline", ATTEMPT);
    settings.retry_period = lasts("retry_period", ATTEMPT);
    let ipam = [("auto", IpamMode::Auto), ("on", IpamMode::On), ("off", IpamMode::Off)];
    settings.ipam = section.read("ipam", |item| item.word(&ipam)).unwrap_or_default();
    if let Some(context) = section.item("context").filter(|_| section.raw("kubeconfig").is_none()) {
        let what = format!("{} names one of a kubeconfig, but there is none", context.name);
        context.wrong(what, "add kubeconfig = \"/etc/portreeve/kubeconfig\", or leave it out");
    }
    Some(settings)
}

/// A name as Kubernetes allows it: small letters, digits, and `marks` between them.
fn name(item: &Item<'_, '_>, example: &str, most: usize, marks: &str) -> Option<String> {
    let text = item.text(example)?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = text.starts_with(plain) && text.ends_with(plain);
    if ends && text.len() <= most && text.chars().all(|c| plain(c) || marks.contains(c)) {
        return Some(text.to_owned());
    }
    let what = format!("{} is \"{text}\", which Kubernetes allows for no name", item.name);
    let marks: Vec<String> = marks.chars().map(|mark| format!("`{mark}`")).collect();
    let marks = marks.join(" or ");
    let help = format!("use small letters and digits, with {marks} between them, {most} at most");
    item.wrong(what, help);
    None
}
