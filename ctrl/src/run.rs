//! The running gateway: everything is brought up once, then one loop turns each event into one
//! change. The loop is the only writer of tables, steering and neighbour entries.

/// Everything that can happen.
pub mod event;
/// Memory, sockets and the worker threads.
pub mod engine;
/// From `Desired` and topology to workers, steering and neighbours, in the order that loses
/// nothing.
pub mod apply;
/// Gratuitous ARP and unsolicited advertisements, spread over a second.
pub mod announce;
/// Others that claim an address of ours.
pub mod conflicts;
/// Next hops that workers ask for.
pub mod hops;
/// A new version of the configuration file.
pub mod reload;
/// The cluster beside the file.
mod cluster;
/// What is said of services of the cluster.
mod remarks;
/// Ports that are other interfaces than at the start.
mod remade;
/// Workers that make no progress.
mod stall;
/// How a worker is asked something.
mod ask;
/// Questions of the admin API.
pub mod queries;
/// Orders of the admin API.
pub mod orders;
/// What was said and found out at run time.
pub mod standing;
/// The backends of a service, for people.
mod backends;

/// The capture that somebody asked for.
pub mod capture;

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portreeve_bpf_abi::Mode;
use tokio::sync::mpsc;

use crate::api;
use crate::commands::host;
use crate::compile::{Compiled, Compiler, host_conflicts};
use crate::desired::Desired;
use crate::groups::SolicitedNodeGroups;
use crate::netlink::Netlink;
use crate::notify::{Notifier, State};
use crate::privileges::{self, Role};
use crate::problem::{self, Problem};
use crate::source;
use crate::steer::{self, Steer};
use crate::steering::Steering;
use announce::Announcements;
use conflicts::Conflicts;
use engine::Engine;
use event::{Event, Outside, Sources};
use hops::HopRequests;
use queries::Query;

/// What `portreeve run` was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Overrides `gateway.pin_dir`.
    pub pin_dir: Option<PathBuf>,
    /// Overrides `gateway.api`.
    pub socket: Option<PathBuf>,
    /// Nanoseconds that the worker wastes for each packet, for tests of a benchmark; else 0.
    pub test_delay_ns: u64,
}

/// Questions of the admin API that may wait at once.
const QUERIES: usize = 64;

/// Where distributions mount a bpffs; directories cannot be made there before that is done.
const USUAL_BPFFS: &str = "/sys/fs/bpf";

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// Whatever keeps the gateway from starting, with the object that it is about.
pub fn run(options: &Options) -> Result<()> {
    let began = now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("make the control thread's runtime")?;
    // Before the file is read: what happens to it from here on, or is asked of us, is not lost.
    let mut outside = {
        let _entered = runtime.enter();
        Outside::listen(&options.config)?
    };
    let text = source::file::read(&options.config)?;
    let file = options.config.display().to_string();
    let loaded =
        source::toml::load(&file, &text).map_err(|problems| refused(&problems, Some(&text)))?;
    let desired = options.override_in(loaded.desired);
    crate::log::init(desired.gateway.log);
    for warning in &loaded.warnings {
        tracing::warn!("{}", warning.render(Some(&text)));
    }
    // Without the right to, CAP_IPC_LOCK may still do; if not, the packet memory will say so.
    if let Err(error) = privileges::raise_memlock() {
        tracing::debug!("{error:#}");
    }
    runtime.block_on(async {
        let mut gateway = Gateway::start(options, desired, text, began).await?;
        gateway.give_up_privileges(&mut outside)?;
        gateway.serve(outside).await
    })
}

impl Options {
    /// What the command line says wins over the file, at start and at every reload.
    fn override_in(&self, mut desired: Desired) -> Desired {
        if let Some(pin_dir) = &self.pin_dir {
            desired.gateway.pin_dir.clone_from(pin_dir);
        }
        if let Some(socket) = &self.socket {
            desired.gateway.api.clone_from(socket);
        }
        desired
    }
}

/// All problems as one error: they have been written for people.
fn refused(problems: &[Problem], text: Option<&str>) -> anyhow::Error {
    anyhow::anyhow!("{}", problem::render_all(problems, text).trim_end().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "control's own time, not that of packets")]
fn now() -> Instant {
    Instant::now()
}

/// What the host itself uses must not be taken from it.
fn refuse_conflicts(desired: &Desired, compiled: &Compiled) -> Result<(), Vec<Problem>> {
    let conflicts = host_conflicts(desired, compiled, &host::facts(desired));
    let (errors, warnings): (Vec<_>, Vec<_>) = conflicts.into_iter().partition(Problem::is_error);
    for warning in warnings {
        tracing::warn!("{}", warning.render(None));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// A running gateway.
pub struct Gateway {
    options: Options,
    config: PathBuf,
    began: Instant,
    start_ms: u64,
    /// What the file wants.
    file: Desired,
    /// What the file and the cluster want together.
    desired: Desired,
    cluster: cluster::FromCluster,
    /// Laid over `desired` before it is compiled.
    standing: standing::Standing,
    compiler: Compiler,
    compiled: Compiled,
    /// What the steering maps hold; `None` while that is not known.
    steered: Option<Arc<Steering>>,
    in_step: apply::InStep,
    /// When we end, once we have begun to leave.
    leaving: Option<Instant>,
    /// What was last said about a host that changed.
    host_troubles: String,
    /// Ports that are known to have been made anew.
    remade: Vec<String>,
    /// Why a receive queue has no socket, as said last.
    queue_trouble: String,
    /// Shares of backends in the tables that somebody asked for.
    shares: queries::Shares,
    /// Ends the capture that runs, while there is one.
    capture: Weak<AtomicBool>,
    engine: Engine,
    stalls: stall::Stalls,
    steer: Steer,
    netlink: Netlink,
    groups: SolicitedNodeGroups,
    announcements: Announcements,
    conflicts: Conflicts,
    hops: HopRequests,
    reloads: reload::Reloads,
    notifier: Notifier,
    api: api::Server,
    queries: mpsc::Receiver<Query>,
}

impl Gateway {
    async fn start(options: &Options, file: Desired, text: String, began: Instant) -> Result<Self> {
        let deadlines = cluster::FromCluster::unheard(&file);
        let desired = Desired { deadlines, ..file.clone() };
        let mut netlink = Netlink::connect().await.context("connect to the kernel's netlink")?;
        let mut compiler = Compiler::new();
        let mut standing = standing::Standing::start(&desired)?;
        let effective = standing.lay_over(&desired, false, began.elapsed());
        let compiled = compiler
            .compile(&effective, netlink.topology(), began.elapsed())
            .map_err(|problems| refused(&problems, Some(&text)))?;
        refuse_conflicts(&desired, &compiled)
            .map_err(|problems| refused(&problems, Some(&text)))?;
        netlink.bind(desired.ports.iter().map(|port| port.name.as_str()));
        let conflicts = Conflicts::asking(&compiled);
        let hops = HopRequests::new(conflicts.claims());
        // Before anything is attached: a second instance is refused without a trace.
        let (asker, queries) = mpsc::channel(QUERIES);
        let api = api::Server::bind(&desired.gateway, asker).await?;
        keep_vlan_tags(&desired, &netlink).await?;
        let mut steer = load_steering(&desired, &netlink)?;
        let delay_ns = options.test_delay_ns;
        let engine = Engine::start(&desired, &compiled, &netlink, &mut steer, &hops, delay_ns)?;
        let mut gateway = Self {
            options: options.clone(),
            config: options.config.clone(),
            began,
            start_ms: 0,
            standing,
            compiler,
            compiled: Compiled::default(),
            steered: None,
            in_step: apply::InStep::default(),
            leaving: None,
            host_troubles: String::new(),
            remade: Vec::new(),
            queue_trouble: String::new(),
            shares: queries::Shares::default(),
            capture: Weak::new(),
            engine,
            stalls: stall::Stalls::default(),
            steer,
            netlink,
            groups: SolicitedNodeGroups::default(),
            announcements: Announcements::default(),
            conflicts,
            hops,
            reloads: reload::Reloads::first(),
            notifier: Notifier::from_environment(),
            api,
            queries,
            cluster: cluster::FromCluster::start(&file)?,
            file,
            desired,
        };
        gateway.take_over(compiled).await?;
        Ok(gateway)
    }

    /// The last step of a start: no thread keeps more than it needs from here on.
    fn give_up_privileges(&mut self, outside: &mut Outside) -> Result<()> {
        privileges::drop_for_this_thread(Role::Control).context("drop privileges")?;
        outside.renew_threads()?;
        self.start_ms = self.began.elapsed().as_millis() as u64;
        self.tell(State::Ready);
        let services = self.compiled.services.len();
        tracing::info!(start_ms = self.start_ms, services, "ready");
        Ok(())
    }

    /// The loop. Every arm is one event; nothing else changes anything.
    async fn serve(&mut self, mut outside: Outside) -> Result<()> {
        let mut refresh = tokio::time::interval(hops::REFRESH);
        let mut look = tokio::time::interval(stall::LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let recompile = self.next_deadline();
            let sources = Sources {
                netlink: &mut self.netlink,
                outside: &mut outside,
                refresh: &mut refresh,
                look: &mut look,
                queries: &mut self.queries,
                ended: self.engine.ended(),
                hops: &self.hops,
                claims: self.conflicts.claims(),
                cluster: &mut self.cluster,
                announcements: &self.announcements,
                recompile,
                leaving: self.leaving,
                health: self.standing.book(),
                began: self.began,
            };
            match sources.next().await? {
                Event::Topology => {
                    self.look_at_ports();
                    self.serve_new_queues();
                    self.judge_cluster_again();
                    self.recompile().await;
                }
                Event::ConfigChanged | Event::Hangup => {
                    self.reload().await;
                    self.tell_cluster();
                    // There may be backends that were not there before.
                    self.look_at_ports();
                }
                Event::ClusterChanged => {
                    self.take_cluster().await;
                    self.look_at_ports();
                }
                Event::HopsAsked => self.resolve_hops().await,
                Event::AddressClaimed => self.take_claims(),
                Event::RefreshHops => self.refresh_hops().await,
                Event::AnnounceDue => self.announce_due(),
                Event::LookAtWorkers => self.look_at_workers().await,
                Event::RemovalDue | Event::HealthChanged => self.recompile().await,
                Event::Query(query) => self.answer(query).await,
                Event::WorkerEnded => bail!("a worker has ended; its last words stand above"),
                Event::Terminate if self.leave() => break,
                Event::Terminate => {}
            }
            self.engine.reap();
        }
        self.stop();
        Ok(())
    }

    /// Queues that a port has got since the last look.
    fn serve_new_queues(&mut self) {
        let grown = self.engine.grow(&self.desired, &self.netlink, &mut self.steer);
        let trouble = grown.err().map(|error| format!("{error:#}")).unwrap_or_default();
        if trouble != self.queue_trouble && !trouble.is_empty() {
            tracing::error!("{trouble}");
        }
        self.queue_trouble = trouble;
    }

    /// A clean leave: the worker ends, the steering program stays, so that a restart finds our
    /// addresses silent instead of answered by the kernel.
    fn stop(&mut self) {
        self.tell(State::Stopping);
        tracing::info!("stopping; the steering program stays attached");
        self.engine.stop();
        self.api.remove_socket();
    }

    fn tell(&self, state: State) {
        let services = self.compiled.services.len();
        if let Err(error) = self.notifier.tell(state, &format!("{services} services")) {
            tracing::warn!("{error:#}");
        }
    }

    /// When to compile again even if nothing happens.
    fn next_deadline(&self) -> Option<Duration> {
        let ours = self.standing.next_deadline(self.uptime());
        ours.into_iter().chain(self.compiled.next_deadline).min()
    }

    /// Time since the start, as the compiler counts it.
    fn uptime(&self) -> Duration {
        self.began.elapsed()
    }
}

/// What a card takes out of a frame no socket of ours would see.
async fn keep_vlan_tags(desired: &Desired, netlink: &Netlink) -> Result<()> {
    for port in engine::attachments(desired, netlink)? {
        let kept = netlink.keep_vlan_tags(port.ifindex).await;
        kept.with_context(|| format!("port {}: leave VLAN tags in frames", port.name))?;
    }
    Ok(())
}

fn load_steering(desired: &Desired, netlink: &Netlink) -> Result<Steer> {
    let pin_dir = &desired.gateway.pin_dir;
    let usual = Path::new(USUAL_BPFFS);
    let root = if pin_dir.starts_with(usual) { usual } else { pin_dir };
    if steer::bpffs::ensure(root)? {
        tracing::info!("mounted a bpffs at {}", root.display());
    }
    steer::bpffs::refuse_private(pin_dir)?;
    let ports = engine::attachments(desired, netlink)?;
    let steer = Steer::load_or_adopt(pin_dir, &ports)
        .with_context(|| format!("attach the steering program, pinned at {}", pin_dir.display()))?;
    let report = steer.report();
    tracing::info!(start = ?report.start, took_ms = report.took.as_millis(), "steering attached");
    for port in &report.ports {
        let mode = port.mode.name();
        tracing::info!(port = port.name, mode, adopted = port.adopted, "port attached");
        if port.mode == Mode::Skb {
            tracing::warn!(
                port = port.name,
                "attached in skb mode, in the kernel's generic path: GRO, LRO and VLAN offload may \
                 merge or hide packets before they are seen; switch them off with `ethtool -K {} \
                 gro off lro off rxvlan off`",
                port.name
            );
        }
    }
    Ok(steer)
}
