use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::{PORT, User};

/// Where `cargo xtask test kubernetes` has put what it built.
const VARIABLE: &str = "PORTREEVE_CONTROL_PLANE";
const ETCD: &str = "http://127.0.0.1:2379";
const ETCD_PEERS: &str = "http://127.0.0.1:2380";
/// Addresses of Services inside of the cluster, as in the seed's, and their IPv6 twins.
const SERVICES: &str = "10.96.0.0/12,fd00:10:96::/112";
/// What makes Endpoints and EndpointSlices of Services and Pods, and tidies up after both.
const CONTROLLERS: &str = "endpoints-controller,endpointslice-controller,namespace-controller,garbage-collector-controller";

/// What a control plane is started from.
#[derive(Debug)]
pub(super) struct Programs(PathBuf);

impl Programs {
    /// # Errors
    /// When it was not built; the message says how to.
    pub(super) fn find() -> Result<Self> {
        let how = format!("{VARIABLE} is not set: run `cargo xtask test kubernetes`");
        let programs = Self(std::env::var_os(VARIABLE).context(how)?.into());
        let program = programs.program();
        ensure!(program.exists(), "{} was not built", program.display());
        Ok(programs)
    }

    /// All of them in one; the first argument says which.
    pub(super) fn program(&self) -> PathBuf {
        self.0.join("control-plane")
    }

    /// The definitions of Cilium's objects.
    pub(super) fn crds(&self) -> PathBuf {
        self.0.join("crds")
    }
}

/// Its name, and its arguments.
pub(super) type Program = (&'static str, Vec<String>);

/// The programs of a control plane whose API server listens at `address`.
pub(super) fn commands(dir: &Path, address: &str, key: &Path) -> [Program; 3] {
    let path = |name: &str| dir.join(name).display().to_string();
    let key = key.display();
    let etcd = vec![path("etcd"), ETCD.to_owned(), ETCD_PEERS.to_owned()];
    let api = vec![
        format!("--etcd-servers={ETCD}"),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={key}"),
        format!("--service-account-signing-key-file={key}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--token-auth-file={}", path("tokens.csv")),
        "--authorization-mode=RBAC".to_owned(),
        // The lab document has a container that asks for it.
        "--allow-privileged=true".to_owned(),
        format!("--cert-dir={}", path("certificates")),
        format!("--bind-address={address}"),
        format!("--advertise-address={address}"),
        format!("--secure-port={PORT}"),
        // Its tokens would have to be made by a controller that nothing here needs.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ];
    let controllers = vec![
        format!("--kubeconfig={}", path(&format!("{}.kubeconfig", User::Admin.name()))),
        format!("--controllers={CONTROLLERS}"),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    [("etcd", etcd), ("kube-apiserver", api), ("kube-controller-manager", controllers)]
}
