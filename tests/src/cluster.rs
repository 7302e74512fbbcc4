//! A Kubernetes cluster in the lab: the real etcd, API server, controllers and kubectl on one host.
//! There is no kubelet; pods are objects whose addresses belong to hosts of the lab.

/// The programs, and starting them.
mod control_plane;
/// Nodes and pods, which nobody reports but us.
mod objects;
/// Seeing what happens to objects.
mod watch;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::host::{Host, Ran};
use crate::process::Process;
use crate::run_dir::RunDir;
use control_plane::Programs;
pub use objects::{Pod, node};
pub use watch::Changes;

/// Where the API server is reached on its host.
pub const PORT: u16 = 6_443;
/// What gateways may do, as it is shipped.
const ROLES: &str = include_str!("../../deploy/kubernetes/rbac.yaml");
const API_SERVER: &str = "kube-apiserver";
/// It takes three seconds on a machine that does nothing else.
const START: Duration = Duration::from_secs(120);
/// Controllers do what they do within a second or so.
const SETTLE: Duration = Duration::from_secs(60);

/// Why no cluster can be started here, in words; `None` when one can.
#[must_use]
pub fn missing() -> Option<String> {
    Programs::find().err().map(|error| format!("{error:#}"))
}

/// Who asks the API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// May do everything.
    Admin,
    /// The gateways: may do what their role allows.
    Gateway,
}

impl User {
    const ALL: [Self; 2] = [Self::Admin, Self::Gateway];

    const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Gateway => "portreeve",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Admin => "system:masters",
            Self::Gateway => "portreeve:gateways",
        }
    }
}

/// A cluster that runs; it ends with its guard.
#[derive(Debug)]
pub struct Cluster<'h> {
    host: &'h Host,
    programs: Programs,
    dir: RunDir,
    address: String,
    /// Files of requests so far.
    asked: AtomicUsize,
    /// By name.
    running: Vec<(&'static str, Process)>,
}

impl<'h> Cluster<'h> {
    /// Starts a control plane on `host`, whose `address` other hosts reach, and waits until it answers.
    ///
    /// # Errors
    /// When it was not built, or does not become ready; the message carries the end of its logs.
    pub fn start(host: &'h Host, address: &str) -> Result<Self> {
        Self::start_in(RunDir::new()?, host, address)
    }

    /// As [`Cluster::start`], with its files in `dir`.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_in(dir: RunDir, host: &'h Host, address: &str) -> Result<Self> {
        let programs = Programs::find()?;
        let address = address.to_owned();
        let mut cluster =
            Self { host, programs, dir, address, asked: AtomicUsize::new(0), running: Vec::new() };
        cluster.write_users()?;
        for user in User::ALL {
            cluster.write_kubeconfig(user)?;
        }
        let [etcd, api, controllers] = cluster.commands(&cluster.address)?;
        cluster.start_program(etcd)?;
        cluster.start_program(api)?;
        cluster.become_ready()?;
        // They wait ten seconds for an API server, and end then.
        cluster.start_program(controllers)?;
        Ok(cluster)
    }

    /// What a client of this cluster reads to find it.
    #[must_use]
    pub fn kubeconfig(&self, user: User) -> PathBuf {
        self.path(&format!("{}.kubeconfig", user.name()))
    }

    /// How somebody who looks around starts kubectl as the administrator, on the cluster's host.
    #[must_use]
    pub fn kubectl_line(&self) -> String {
        let kubeconfig = self.kubeconfig(User::Admin);
        format!(
            "{} kubectl --kubeconfig={}",
            self.programs.program().display(),
            kubeconfig.display()
        )
    }

    /// Allows the gateways what the roles that are shipped allow them.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub fn allow_gateways(&self) -> Result<()> {
        self.apply(ROLES).map(drop)
    }

    /// Gives a service its addresses, as whoever hands them out would.
    ///
    /// # Errors
    /// When there is no such service.
    pub fn give_addresses(&self, service: &str, addresses: &[&str]) -> Result<()> {
        let ingress: Vec<_> = addresses.iter().map(|ip| format!(r#"{{"ip":"{ip}"}}"#)).collect();
        let patch =
            format!(r#"{{"status":{{"loadBalancer":{{"ingress":[{}]}}}}}}"#, ingress.join(","));
        let args = ["patch", "service", service, "--subresource=status", "-p", &patch];
        self.kubectl(&args)?.ok().map(drop)
    }

    /// Kills the API server; what it knows stays with etcd.
    pub fn stop_api_server(&mut self) {
        self.running.retain(|(name, _)| *name != API_SERVER);
    }

    /// Starts it again and waits until it answers.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub fn start_api_server(&mut self) -> Result<()> {
        let [_, api, _] = self.commands(&self.address)?;
        self.start_program(api)?;
        self.become_ready()
    }

    /// Runs kubectl as the administrator.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the result.
    pub fn kubectl(&self, args: &[&str]) -> Result<Ran> {
        self.kubectl_as(User::Admin, args)
    }

    /// Runs kubectl as somebody.
    ///
    /// # Errors
    /// When it cannot be started; how it ended is in the result.
    pub fn kubectl_as(&self, user: User, args: &[&str]) -> Result<Ran> {
        let kubeconfig = format!("--kubeconfig={}", self.kubeconfig(user).display());
        let program = self.programs.program().to_string_lossy().into_owned();
        self.host.run(&program, &[&["kubectl", &kubeconfig], args].concat())
    }

    /// Applies objects that are written as YAML.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub fn apply(&self, yaml: &str) -> Result<String> {
        self.give("apply", yaml)
    }

    /// Gives objects that are written as YAML to a verb of kubectl.
    ///
    /// # Errors
    /// When the API server does not take them.
    pub fn give(&self, verb: &str, yaml: &str) -> Result<String> {
        let file = self.path("given.yaml");
        std::fs::write(&file, yaml)?;
        self.kubectl(&[verb, "-f", &file.to_string_lossy()])?.ok()
    }

    /// Has the cluster know Cilium's objects.
    ///
    /// # Errors
    /// When the API server does not take their definitions.
    pub fn apply_cilium_crds(&self) -> Result<()> {
        self.apply_crds(&[])
    }

    /// The same in a cluster that knows some of them by definitions of ours: Cilium's take their place.
    ///
    /// # Errors
    /// As [`Self::apply_cilium_crds`].
    pub fn apply_cilium_crds_over_ours(&self) -> Result<()> {
        self.apply_crds(&["--force-conflicts"])
    }

    fn apply_crds(&self, more: &[&str]) -> Result<()> {
        let crds = self.programs.crds();
        let apply = ["apply", "--server-side", "-f", &crds.to_string_lossy()];
        self.kubectl(&[&apply, more].concat())?.ok()?;
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
        self.kubectl(&wait)?.ok().map(drop)
    }

    /// Sends requests (method, path, JSON) to the API server as the administrator, one after the other over
    /// one connection; says how long each took from the moment it was sent, in seconds.
    ///
    /// # Errors
    /// When one of them is not taken.
    pub fn send(&self, requests: &[(&str, String, String)]) -> Result<Vec<f64>> {
        let mut operations = Vec::new();
        for (method, path, body) in requests {
            let kind = if *method == "PATCH" { "merge-patch+json" } else { "json" };
            let body = body.replace('\\', "\\\\").replace('"', "\\\"");
            let authority = self.path("certificates/apiserver.crt");
            operations.push(format!(
                "url = \"https://{}:{PORT}{path}\"\nrequest = {method}\ncacert = \"{}\"\nsilent\nfail\n\
                 header = \"Authorization: Bearer {}\"\nheader = \"Content-Type: application/{kind}\"\n\
                 data = \"{body}\"\noutput = /dev/null\nwrite-out = \"%{{http_code}} %{{time_pretransfer}} %{{time_total}}\\n\"\n",
                self.address,
                authority.display(),
                token(User::Admin)
            ));
        }
        let file = self.path(&format!("requests-{}", self.asked.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&file, operations.join("next\n"))?;
        let said = self.host.run("curl", &["--config", &file.to_string_lossy()])?.ok()?;
        let took = |line: &str| {
            let mut fields = line.split(' ').map(str::parse::<f64>);
            let (_, Some(Ok(sent)), Some(Ok(total))) =
                (fields.next(), fields.next(), fields.next())
            else {
                bail!("curl said {line:?}");
            };
            Ok(total - sent)
        };
        said.lines().map(took).collect()
    }

    /// Asks with kubectl until `enough` says so of what it prints.
    ///
    /// # Errors
    /// When it does not come to that in time; the message says what it came to.
    pub fn await_output(&self, args: &[&str], enough: impl Fn(&str) -> bool) -> Result<String> {
        let begun = Instant::now();
        loop {
            let said = self.kubectl(args)?;
            if said.success && enough(&said.stdout) {
                return Ok(said.stdout);
            }
            if begun.elapsed() > SETTLE {
                bail!(
                    "kubectl {}: {} {}\n{}",
                    args.join(" "),
                    said.stdout,
                    said.stderr,
                    self.logs()
                );
            }
            // kubectl itself takes a tenth of a second: there is no event to wait for that it shows.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Tokens of those who may ask.
    fn write_users(&self) -> Result<()> {
        let mut file = File::create(self.path("tokens.csv"))?;
        for user in User::ALL {
            let (name, group) = (user.name(), user.group());
            writeln!(file, "{},{name},{name},\"{group}\"", token(user))?;
        }
        Ok(())
    }

    /// The programs with their arguments, in the order of their start.
    fn commands(&self, address: &str) -> Result<[control_plane::Program; 3]> {
        let key = self.path("service-accounts.key");
        let mut command = Command::new(self.programs.program());
        let made = command.arg("key").arg(&key).status().context("make a key")?;
        anyhow::ensure!(made.success(), "no key was made");
        Ok(control_plane::commands(self.dir.path(), address, &key))
    }

    fn start_program(&mut self, (name, args): control_plane::Program) -> Result<()> {
        let log = self.path(&format!("{name}.log"));
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(self.programs.program());
        command.arg(name).args(args).stdin(Stdio::null());
        command.stderr(log.try_clone()?).stdout(log);
        self.running.push((name, self.host.spawn(command)?));
        Ok(())
    }

    fn write_kubeconfig(&self, user: User) -> Result<()> {
        let address = &self.address;
        let authority = self.path("certificates/apiserver.crt");
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             clusters: [{{name: lab, cluster: {{server: 'https://{address}:{PORT}', \
             certificate-authority: '{}'}}}}]\n\
             users: [{{name: user, user: {{token: '{}'}}}}]\n\
             contexts: [{{name: lab, context: {{cluster: lab, user: user}}}}]\n",
            authority.display(),
            token(user),
        );
        std::fs::write(self.kubeconfig(user), config).context("write a kubeconfig")
    }

    fn become_ready(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let ready = self.kubectl(&["get", "--raw", "/readyz"])?;
            // The default namespace and its service account are the last that a fresh cluster makes.
            if ready.success && self.kubectl(&["get", "namespace", "default"])?.success {
                return Ok(());
            }
            if begun.elapsed() > START {
                bail!("the cluster is not ready: {}\n{}", ready.stderr, self.logs());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The end of what each program has said.
    fn logs(&self) -> String {
        let end = |path: &Path| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            let last = &lines[lines.len().saturating_sub(15)..];
            format!("{}:\n{}\n", path.display(), last.join("\n"))
        };
        ["etcd", "kube-apiserver", "kube-controller-manager"]
            .iter()
            .map(|name| end(&self.path(&format!("{name}.log"))))
            .collect()
    }
}

/// Secrets of a lab that nobody else reaches.
fn token(user: User) -> String {
    format!("token-of-{}", user.name())
}
