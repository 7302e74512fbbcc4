use std::time::Duration;

use crate::desired::kubernetes::KubernetesSettings;
use crate::kubernetes::api::config_map::ConfigMap;
use crate::kubernetes::election::Timing;
use crate::kubernetes::snapshot::Complaint;

/// How long leases last: as the file says, else as Cilium was told, else as Cilium has it by default; and
/// what Cilium was told that is no duration.
#[must_use]
pub fn timing(
    settings: &KubernetesSettings,
    config: Option<&ConfigMap>,
) -> (Timing, Vec<Complaint>) {
    let mut complaints = Vec::new();
    let mut told = |key: &str| {
        let config = config?;
        let key = format!("l2-announcements-{key}");
        let text = config.data.get(&key).filter(|text| !text.is_empty())?;
        let read = duration(text);
        if read.is_none() {
            complaints.push(Complaint {
                kind: "ConfigMap",
                object: config.metadata.key(),
                uid: config.metadata.uid.clone(),
                reason: "LeaseSettingInvalid",
                message: format!("{key} is \"{text}\", which is no duration; ours is used instead"),
            });
        }
        read
    };
    let default = Timing::default();
    let mut or =
        |written: Option<Duration>, key, default| written.or_else(|| told(key)).unwrap_or(default);
    let timing = Timing {
        duration: or(settings.lease_duration, "lease-duration", default.duration),
        renew: or(settings.renew_deadline, "renew-deadline", default.renew),
        retry: or(settings.retry_period, "retry-period", default.retry),
    };
    (timing.sane(), complaints)
}

/// A duration as Go programs write it: `15s`, `200ms`, `1m30s`, `1.5s`.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        let unit = &rest[end..];
        let unit = &unit[..unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len())];
        let seconds = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number * seconds).ok()?)?;
        rest = &rest[end + unit.len()..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("3s", 3_000),
            ("200ms", 200),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("1h0m0.5s", 3_600_500),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "3", "s", "3 s", "-3s", "3x", "1.2.3s", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn the_file_wins_over_cilium_and_cilium_over_its_defaults() {
        let text = r#"{"data": {"l2-announcements-lease-duration": "3s",
            "l2-announcements-renew-deadline": "1s", "l2-announcements-retry-period": "soon"}}"#;
        let config: ConfigMap = serde_json::from_str(text).unwrap();
        let found = |settings: &KubernetesSettings, config| {
            let Timing { duration, renew, retry } = timing(settings, config).0;
            [duration, renew, retry].map(|time| time.as_millis())
        };
        let silent = KubernetesSettings::default();
        assert_eq!(found(&silent, None), [15_000, 5_000, 2_000]);
        assert_eq!(found(&silent, Some(&config)), [3_000, 1_000, 500], "made sane");
        let (_, complaints) = timing(&silent, Some(&config));
        let [complaint] = &complaints[..] else { panic!("{complaints:?}") };
        assert!(complaint.message.contains("retry-period is \"soon\""), "{}", complaint.message);
        let short = Some(Duration::from_millis(200));
        let says = KubernetesSettings { retry_period: short, ..silent };
        assert_eq!(found(&says, Some(&config)), [3_000, 1_000, 200]);
        assert!(timing(&says, Some(&config)).1.is_empty(), "nobody asks Cilium");
    }
}
