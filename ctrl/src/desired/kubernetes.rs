use std::path::PathBuf;
use std::time::Duration;

/// The cluster whose objects are served besides what the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubernetesSettings {
    /// How to reach it; `None` for the service account of the pod that this runs in.
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig; `None` for its current one.
    pub context: Option<String>,
    /// Name of our node; `None` for `NODE_NAME` of the environment, else the host's name.
    pub node: Option<String>,
    /// Where our leases are, and `cilium-config`.
    pub namespace: String,
    /// How pods are reached.
    pub reach: Reach,
    /// Whether nodes on our links are taken for the routers of their pods.
    pub pod_routes: bool,
    /// What becomes of announcing while the API server does not answer.
    pub on_api_loss: OnApiLoss,
    /// How long a lease lasts; `None`: as `cilium-config` says, else Cilium's default.
    pub lease_duration: Option<Duration>,
    /// Within which time it is renewed; as above.
    pub renew_deadline: Option<Duration>,
    /// Between two attempts; as above.
    pub retry_period: Option<Duration>,
    /// Whether we give addresses of pools to services.
    pub ipam: IpamMode,
}

impl Default for KubernetesSettings {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            node: None,
            namespace: "kube-system".into(),
            reach: Reach::default(),
            pod_routes: false,
            on_api_loss: OnApiLoss::default(),
            lease_duration: None,
            renew_deadline: None,
            retry_period: None,
            ipam: IpamMode::default(),
        }
    }
}

/// How pods are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// As `cilium-config` suggests.
    #[default]
    Auto,
    /// At their own addresses, by routes of this host.
    Pods,
    /// By the node ports of their service.
    NodePort,
}

/// What becomes of announcing while the API server does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnApiLoss {
    /// It ends with the lease.
    #[default]
    Release,
    /// Who had the lease last goes on.
    Hold,
}

/// Whether we give addresses of pools to services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IpamMode {
    /// Unless Cilium does.
    #[default]
    Auto,
    /// We do.
    On,
    /// Others do.
    Off,
}
