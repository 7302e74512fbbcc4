use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::ipam::Settings;
use crate::kubernetes::kinds::Store;
use crate::kubernetes::snapshot::Complaint;

/// What `cilium-config` says of addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// How addresses are given.
    pub settings: Settings,
    /// Whether an operator of Cilium gives addresses, if there is one (`enable-lb-ipam`).
    pub operator_allocates: bool,
    /// What cannot be used.
    pub complaints: Vec<Complaint>,
}

impl Config {
    /// Reads it. What is absent has Cilium's default; so has what makes no sense, with a complaint.
    pub fn read(store: &Store, namespace: &str) -> Self {
        let key = Key { namespace: namespace.to_owned(), name: "cilium-config".to_owned() };
        let map = store.cilium_config(namespace);
        let text = |name: &str| map.and_then(|map| map.data.get(name)).map(|text| text.trim());
        let mut complaints = Vec::new();
        let mut complain = |message: String| {
            let uid = map.map(|map| map.metadata.uid.clone()).unwrap_or_default();
            let (object, kind) = (key.clone(), "ConfigMap");
            complaints.push(Complaint { kind, object, uid, reason: "IpamSettingInvalid", message });
        };
        let mut truth = |name: &str, default: bool| match text(name) {
            None | Some("") => default,
            // As Go reads it.
            Some("true" | "TRUE" | "True" | "t" | "T" | "1") => true,
            Some("false" | "FALSE" | "False" | "f" | "F" | "0") => false,
            Some(other) => {
                complain(format!("{name} is '{other}', neither true nor false; {default} is used"));
                default
            }
        };
        let fallback = Settings::default();
        let mut settings = Settings {
            ipv4: truth("enable-ipv4", fallback.ipv4),
            ipv6: truth("enable-ipv6", fallback.ipv6),
            l2_announcements: truth("enable-l2-announcements", fallback.l2_announcements),
            bgp_control_plane: truth("enable-bgp-control-plane", fallback.bgp_control_plane),
            default_ipam: fallback.default_ipam,
        };
        let operator_allocates = truth("enable-lb-ipam", true);
        match text("default-lb-service-ipam").filter(|text| !text.is_empty()).map(str::parse) {
            None => {}
            Some(Ok(ipam)) => settings.default_ipam = ipam,
            Some(Err(error)) => complain(format!("{error}; lbipam is used")),
        }
        Self { settings, operator_allocates, complaints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::ipam::DefaultIpam;
    use crate::kubernetes::kinds::Watched;
    use crate::kubernetes::store::News;

    fn read(data: serde_json::Value) -> Config {
        let object = serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "cilium-config", "namespace": "kube-system", "uid": "c"},
            "data": data,
        });
        let mut store = Store::default();
        let object = serde_json::from_value(object).unwrap();
        store.take(Watched::CiliumConfig, News::Changed(Box::new(object)));
        Config::read(&store, "kube-system")
    }

    #[test]
    fn what_is_absent_has_its_default() {
        let config = Config::read(&Store::default(), "kube-system");
        assert_eq!(config.settings, Settings::default());
        assert!(config.operator_allocates && config.complaints.is_empty());
    }

    #[test]
    fn keys_have_the_meaning_of_cilium_s_options() {
        let config = read(serde_json::json!({
            "enable-ipv4": "false", "enable-ipv6": "true", "enable-l2-announcements": "0",
            "enable-bgp-control-plane": "true", "default-lb-service-ipam": "none",
            "enable-lb-ipam": "false",
        }));
        let want = Settings {
            ipv4: false,
            ipv6: true,
            l2_announcements: false,
            bgp_control_plane: true,
            default_ipam: DefaultIpam::Nobody,
        };
        assert_eq!((config.settings, config.operator_allocates), (want, false));
        assert!(config.complaints.is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_named_and_the_default_used() {
        let config =
            read(serde_json::json!({"enable-ipv6": "maybe", "default-lb-service-ipam": "all"}));
        assert_eq!(config.settings, Settings::default());
        let told: Vec<_> = config.complaints.iter().map(|found| found.message.as_str()).collect();
        assert_eq!(
            told,
            [
                "enable-ipv6 is 'maybe', neither true nor false; false is used",
                "default-lb-service-ipam is 'all', not one of lbipam, nodeipam, none; lbipam is used",
            ]
        );
    }
}
