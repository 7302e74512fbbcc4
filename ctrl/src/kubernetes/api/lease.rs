use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::null;

/// Group of the kind.
pub const GROUP: &str = "coordination.k8s.io";
/// The version under which clusters serve it.
pub const VERSION: &str = "v1";
/// The kind, of a namespace.
pub const KIND: &str = "Lease";

/// Who leads, and for how long. It is written as a whole over the version that was read, so what we do
/// not know of it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// Name and version.
    pub metadata: LeaseMetadata,
    /// Who holds it.
    #[serde(deserialize_with = "null::as_empty")]
    pub spec: LeaseSpec,
}

/// The metadata of a Lease, with what other objects are not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseMetadata {
    /// Unique within its namespace.
    pub name: String,
    /// Where it is.
    pub namespace: String,
    /// The version that was read: who writes over another is refused. Empty for one that is not there
    /// yet.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// For everything else.
    #[serde(deserialize_with = "null::as_empty", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What we do not read.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// Who holds a Lease.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LeaseSpec {
    /// Name of the holder; empty for nobody.
    #[serde(deserialize_with = "null::as_empty")]
    pub holder_identity: String,
    /// How long it lasts after it was renewed, in whole seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration_seconds: Option<i32>,
    /// Since when it has this holder, by the clock of that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acquire_time: Option<MicroTime>,
    /// When it was renewed, by the clock of the holder. Others see only that it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_time: Option<MicroTime>,
    /// How often it has changed its holder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_transitions: Option<i32>,
    /// What we do not read.
    #[serde(flatten)]
    pub rest: BTreeMap<String, Value>,
}

/// A point in time as it stands in leases: RFC 3339, UTC, microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MicroTime(pub String);

impl From<SystemTime> for MicroTime {
    fn from(time: SystemTime) -> Self {
        // A clock before 1970 was never set.
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = date(days);
        let (hour, minute) = (second / 3_600, second / 60 % 60);
        let (second, micros) = (second % 60, since.subsec_micros());
        Self(format!(
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z"
        ))
    }
}

/// Year, month and day, so many days after 1970-01-01. Years are counted from March here: the day that
/// some have more is their last then, and those of 400 years come to the same number of days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, turn) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + turn, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_written_as_the_api_server_wants_them() {
        let text = |micros| MicroTime::from(UNIX_EPOCH + Duration::from_micros(micros)).0;
        assert_eq!(text(0), "1970-01-01T00:00:00.000000Z");
        // `date -u -d @... +%FT%T`
        assert_eq!(text(951_782_399_000_001), "2000-02-28T23:59:59.000001Z");
        assert_eq!(text(951_868_799_000_000), "2000-02-29T23:59:59.000000Z");
        assert_eq!(text(1_796_072_297_123_456), "2026-11-30T20:58:17.123456Z");
        assert_eq!(text(4_107_542_400_000_000), "2100-03-01T00:00:00.000000Z");
        assert_eq!(text(4_102_444_799_999_999), "2099-12-31T23:59:59.999999Z");
    }

    #[test]
    fn what_others_wrote_is_kept() {
        let text = r#"{"metadata": {"name": "cilium-l2announce-default-svc1", "namespace": "kube-system",
            "resourceVersion": "7", "ownerReferences": [{"uid": "x"}], "labels": {"a": "b"}},
            "spec": {"holderIdentity": "k8s-w1", "leaseDurationSeconds": 3, "strategy": "x",
            "renewTime": "2026-11-30T21:00:00.000000Z", "leaseTransitions": 2}}"#;
        let lease: Lease = serde_json::from_str(text).unwrap();
        assert_eq!(lease.spec.holder_identity, "k8s-w1");
        let [read, written] = [text.to_owned(), serde_json::to_string(&lease).unwrap()]
            .map(|text| serde_json::from_str::<Value>(&text).unwrap());
        assert_eq!(read, written);
    }

    #[test]
    fn a_lease_that_nobody_holds_is_read() {
        let text = r#"{"metadata": {"annotations": null}, "spec": {"holderIdentity": null}}"#;
        let lease: Lease = serde_json::from_str(text).unwrap();
        assert_eq!(lease, Lease::default());
        assert_eq!(serde_json::from_str::<Lease>(r#"{"spec": null}"#).unwrap(), lease);
    }
}
