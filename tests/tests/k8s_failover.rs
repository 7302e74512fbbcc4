//! Two gateways in mode `nat`, whose servers have a router address for their way back: the leader dies, or
//! is asked to go, while datagrams and connections go through it.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use portreeve_tests::appliance::Appliance;
use portreeve_tests::cluster::{Cluster, User};
use portreeve_tests::config;
use portreeve_tests::connections::Crowd;
use portreeve_tests::forgetful;
use portreeve_tests::host::Host;
use portreeve_tests::lab::Lab;
use portreeve_tests::news::News;
use portreeve_tests::pair::{self, PairLab};
use portreeve_tests::seed::{ECHO, HTTP, VIPS};
use portreeve_tests::skip::has_control_plane;
use portreeve_tests::steady::{Echoes, Steady};
use serde_json::Value;

const NODES: [&str; 2] = ["gw1", "gw2"];
const POLICY: &str = "---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: all}
spec: {loadBalancerIPs: true, interfaces: [ens5]}
";
/// Where the servers speak first.
const NEWS: u16 = 9_000;
/// One service for each port of the servers: with which of them a reply belongs follows from its port.
const SERVICES: [(&str, &str, u16); 3] =
    [("echo", "UDP", ECHO), ("ask", "TCP", HTTP), ("news", "TCP", NEWS)];
const LEASE: Duration = Duration::from_secs(3);
const LINGER: Duration = Duration::from_secs(2);
/// What is promised beyond the lease.
const PROMISE: Duration = Duration::from_millis(300);
/// What a machine that does other things besides may take: so many times as long.
const SLACK: u32 = 3;
/// Datagrams a second.
const RATE: u32 = 20_000;
/// Connections on which clients ask, and as many on which the servers speak.
const CONNECTIONS: usize = 100;
const ASK_PACE: Duration = Duration::from_millis(10);
/// What a kernel waits at first before it sends again; it doubles with every time.
const RTO: Duration = Duration::from_millis(200);
const SETTLE: Duration = Duration::from_secs(30);
/// Traffic before and after what happens.
const CALM: Duration = Duration::from_secs(1);
/// None may be lost, and with `PORTREEVE_FULL=1` none is allowed. But the successor asks for the MAC of a client
/// when its first packet comes, and on a machine with other things to do more packets come meanwhile than
/// may wait (`waiting_full`): so many of 80 000, one in a thousand, are let pass.
const LOST_WHEN_BUSY: u64 = 80;
/// With `PORTREEVE_FULL=1`.
const KILLS: usize = 5;

struct World<'l> {
    net: &'l PairLab,
    newcomer: Host,
    gateways: [Appliance; 2],
    listeners: Vec<TcpListener>,
}

/// What clients saw of a move.
#[derive(Debug, Clone, Copy)]
struct Seen {
    echoes: Echoes,
    /// By a client that had to ask who has the VIP.
    forgetful: Duration,
}

impl Seen {
    fn gap(&self) -> Duration {
        self.echoes.longest.max(self.forgetful)
    }
}

fn gateway(cluster: &Cluster<'_>, node: &str) -> String {
    format!(
        "[gateway]\nlinger = \"2s\"\n{}[[router]]\naddress = \"{}\"\n\
         [kubernetes]\nkubeconfig = \"{}\"\nnode = \"{node}\"\nipam = \"off\"\n\
         lease_duration = \"3s\"\nrenew_deadline = \"1s\"\nretry_period = \"200ms\"\n",
        config::ports(&pair::PORTS),
        pair::ROUTERS[0],
        cluster.kubeconfig(User::Gateway).display()
    )
}

/// A service with both servers as endpoints, which nobody else reports.
fn objects((name, protocol, port): (&str, &str, u16)) -> String {
    let endpoint = |server| format!("- {{addresses: [{server}], conditions: {{ready: true}}}}\n");
    let endpoints: String = pair::SERVERS.iter().map(endpoint).collect();
    format!(
        "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n\
         \x20 annotations: {{portreeve.io/mode: nat}}\n\
         spec:\n  type: LoadBalancer\n  ports: [{{port: {port}, protocol: {protocol}}}]\n\
         ---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: {name}-1\n\
         \x20 labels: {{kubernetes.io/service-name: {name}}}\n\
         addressType: IPv4\nports: [{{port: {port}, protocol: {protocol}}}]\nendpoints:\n{endpoints}"
    )
}

fn target(at: usize) -> Result<SocketAddr> {
    Ok(SocketAddr::new(VIPS[at].parse::<IpAddr>()?, SERVICES[at].2))
}

impl<'l> World<'l> {
    fn start(lab: &Lab, net: &'l PairLab, cluster: &Cluster<'_>) -> Result<Self> {
        cluster.allow_gateways()?;
        cluster.apply_cilium_crds()?;
        let newcomer = net.add_client(lab, "newcomer", "10.10.200.7/24")?;
        for server in &net.servers {
            server.route("default", pair::ROUTERS[0])?;
        }
        cluster.apply(&(POLICY.to_owned() + &SERVICES.map(objects).concat()))?;
        for ((name, ..), vip) in SERVICES.iter().zip(VIPS) {
            cluster.give_addresses(name, &[vip])?;
        }
        let start = |at: usize| Appliance::start(&net.gateways[at], &gateway(cluster, NODES[at]));
        let listen = |server: &Host| Ok(server.enter(|| TcpListener::bind(("0.0.0.0", NEWS)))??);
        Ok(Self {
            net,
            newcomer,
            gateways: [start(0)?, start(1)?],
            listeners: net.servers.iter().map(listen).collect::<Result<_>>()?,
        })
    }

    /// Waits until one gateway leads everything and the other knows it; which.
    fn await_leader(&self) -> Result<usize> {
        self.await_one_of(&[0, 1])
    }

    /// The same for another than this one.
    fn await_leader_but(&self, former: usize) -> Result<usize> {
        self.await_one_of(&[1 - former])
    }

    fn await_one_of(&self, wanted: &[usize]) -> Result<usize> {
        let begun = Instant::now();
        loop {
            let leases = self.leases()?;
            for &leader in wanted {
                if leases.iter().all(|all| held_by(all, NODES[leader])) {
                    return Ok(leader);
                }
            }
            ensure!(
                begun.elapsed() < SETTLE,
                "nobody leads: {leases:?}\n{}\n{}",
                self.gateways[0].log_tail(),
                self.gateways[1].log_tail()
            );
            // Nothing tells the outside.
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What both say of leases.
    fn leases(&self) -> Result<Vec<Value>> {
        let gateways = self.gateways.iter().zip(&self.net.gateways);
        gateways.map(|(gateway, host)| gateway.json(host, &["leases"])).collect()
    }

    /// Does `then` while datagrams flow, and goes on for `more`.
    fn watch(&self, more: Duration, then: impl FnOnce() -> Result<()>) -> Result<Seen> {
        let over = AtomicBool::new(false);
        let to = target(0)?;
        std::thread::scope(|scope| {
            let asker = || forgetful::longest_silence(&self.newcomer, "ens5", to, &over);
            let forgetful = scope.spawn(asker);
            let steady = Steady::start(&self.net.client, to, RATE)?;
            std::thread::sleep(CALM);
            let done = then();
            std::thread::sleep(more);
            over.store(true, Ordering::Release);
            let echoes = steady.finish();
            let forgetful =
                forgetful.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            done?;
            Ok(Seen { echoes: echoes?, forgetful: forgetful? })
        })
    }

    fn talk(&self) -> Result<Talk> {
        let client = &self.net.client;
        let news = News::open(client, target(2)?, &self.listeners, CONNECTIONS)?;
        let asking = Crowd::start_at(ASK_PACE, client, &[target(1)?], CONNECTIONS)?;
        asking.all_go_on()?;
        Ok(Talk { asking, news })
    }

    /// A gateway that starts does not know yet whether somebody holds the router address: until then it is
    /// silent, and the other hears nothing.
    fn nobody_claimed_the_router(&self) -> Result<()> {
        for gateway in &self.gateways {
            let log = gateway.log();
            let line = log.lines().find(|line| line.contains("is also claimed by"));
            ensure!(line.is_none(), "two had one address: {line:?}");
        }
        Ok(())
    }

    fn explain<T>(&self, outcome: Result<T>) -> Result<T> {
        let [one, two] = &self.net.gateways;
        self.gateways[0].explain(one, self.gateways[1].explain(two, outcome))
    }
}

/// Whether there is a lease of the router and of each service, and `node` holds them all.
fn held_by(leases: &Value, node: &str) -> bool {
    let all = leases.as_array().map(Vec::as_slice).unwrap_or_default();
    all.len() == SERVICES.len() + 1 && all.iter().all(|lease| lease["holder"] == node)
}

/// Connections that are there when it happens.
struct Talk {
    asking: Crowd,
    news: News,
}

impl Talk {
    /// All of them went on, none longer without a number than TCP waits after `gap`.
    fn end(self, gap: Duration) -> Result<Duration> {
        self.asking.all_go_on().context("connections of clients that ask")?;
        let silence = self.news.finish().context("connections of servers that speak")?;
        // What was sent last into the gap is sent again after as long again, at most.
        let limit = gap * 2 + RTO + PROMISE;
        ensure!(silence <= limit, "a server was not heard for {silence:?}, allowed are {limit:?}");
        Ok(silence)
    }
}

fn is_full() -> bool {
    std::env::var_os("PORTREEVE_FULL").is_some_and(|value| value == "1")
}

fn kill_the_leader(world: &mut World<'_>) -> Result<Duration> {
    let leader = world.await_leader()?;
    let talk = world.talk()?;
    let more = (LEASE + PROMISE) * 2;
    let seen = world.watch(more, || world.gateways[leader].signal(Signal::SIGKILL))?;
    let silence = talk.end(seen.gap())?;
    println!(
        "{} was killed under {:.0} datagrams a second: silent for {:?} with the VIP known, {:?} \
         without, pushed connections for {silence:?}",
        NODES[leader],
        seen.echoes.rate(),
        seen.echoes.longest,
        seen.forgetful
    );
    world.gateways[leader].restart(&world.net.gateways[leader])?;
    ensure!(world.await_leader()? != leader, "who comes back takes nothing away");
    world.nobody_claimed_the_router()?;
    Ok(seen.gap())
}

#[test]
fn a_leader_that_is_killed_is_followed_within_its_lease_and_connections_go_on() -> Result<()> {
    if !has_control_plane(
        "a_leader_that_is_killed_is_followed_within_its_lease_and_connections_go_on",
    ) {
        return Ok(());
    }
    let lab = Lab::new("k8s_killed")?;
    let net = PairLab::build(&lab)?;
    let control = net.add_control(&lab)?;
    let cluster = Cluster::start(&control, pair::API)?;
    let mut world = World::start(&lab, &net, &cluster)?;
    let (kills, limit) =
        if is_full() { (KILLS, LEASE + PROMISE) } else { (1, (LEASE + PROMISE) * SLACK) };
    let mut gaps = Vec::new();
    for _ in 0..kills {
        let gap = kill_the_leader(&mut world);
        gaps.push(world.explain(gap)?);
    }
    gaps.sort_unstable();
    let median = gaps[gaps.len() / 2];
    println!("silent for {median:?} of {limit:?} (median of {gaps:?})");
    ensure!(median <= limit, "silent for {median:?}, allowed are {limit:?}");
    Ok(())
}

#[test]
fn a_leader_that_is_asked_to_go_loses_nothing() -> Result<()> {
    if !has_control_plane("a_leader_that_is_asked_to_go_loses_nothing") {
        return Ok(());
    }
    let lab = Lab::new("k8s_planned")?;
    let net = PairLab::build(&lab)?;
    let control = net.add_control(&lab)?;
    let cluster = Cluster::start(&control, pair::API)?;
    let mut world = World::start(&lab, &net, &cluster)?;
    let leader = world.await_leader()?;
    let outcome = (|| {
        let talk = world.talk()?;
        let calm = world.watch(CALM, || Ok(()))?.echoes;
        ensure!(calm.came == calm.sent, "the lab itself loses datagrams: {calm:?}");
        let go = || world.gateways[leader].signal(Signal::SIGTERM);
        let seen = world.watch(LINGER + CALM, go)?;
        let silence = talk.end(seen.gap())?;
        println!(
            "{} was asked to go under {:.0} datagrams a second: {} of {} came back, silent for {:?} \
             with the VIP known, {:?} without, pushed connections for {silence:?}",
            NODES[leader],
            seen.echoes.rate(),
            seen.echoes.came,
            seen.echoes.sent,
            seen.echoes.longest,
            seen.forgetful
        );
        let allowed = if is_full() { 0 } else { LOST_WHEN_BUSY };
        let lost = seen.echoes.sent - seen.echoes.came;
        ensure!(lost <= allowed, "{lost} datagrams were lost: {:?}", seen.echoes);
        world.nobody_claimed_the_router()
    })();
    world.explain(outcome)?;
    let status = world.gateways[leader].wait_exit().context("it ends after the linger time")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[test]
fn a_leader_with_a_worker_that_hangs_gives_its_leases_up() -> Result<()> {
    if !has_control_plane("a_leader_with_a_worker_that_hangs_gives_its_leases_up") {
        return Ok(());
    }
    let lab = Lab::new("k8s_stalled")?;
    let net = PairLab::build(&lab)?;
    let control = net.add_control(&lab)?;
    let cluster = Cluster::start(&control, pair::API)?;
    let world = World::start(&lab, &net, &cluster)?;
    let leader = world.await_leader()?;
    let outcome = (|| {
        let worker = thread(world.gateways[leader].process()?.pid(), "worker-0")?;
        let hung = Instant::now();
        // A debugger stops this one thread, and nothing else of the process.
        ptrace::attach(worker).context("stop a worker")?;
        waitpid(worker, Some(WaitPidFlag::__WALL)).context("wait until it has stopped")?;
        let next = world.await_leader_but(leader);
        let took = hung.elapsed();
        ptrace::detach(worker, None).context("let it go on")?;
        next?;
        println!("the other led {took:?} after a worker had stopped");
        ensure!(took < LEASE, "it was not handed over: {took:?}");
        Ok(())
    })();
    world.explain(outcome)
}

/// The thread of that name in a process.
fn thread(process: u32, name: &str) -> Result<Pid> {
    for task in std::fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?;
        if std::fs::read_to_string(task.path().join("comm"))?.trim() == name {
            let id = task.file_name().to_string_lossy().parse().context("a thread's number")?;
            return Ok(Pid::from_raw(id));
        }
    }
    anyhow::bail!("process {process} has no thread {name}")
}
