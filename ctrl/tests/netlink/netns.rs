//! Threads as hosts: each has a network namespace of its own, which goes with it, so that nothing
//! is left behind however a test ends.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use portreeve::netlink::Netlink;
use portreeve::topology::Topology;

/// No event takes longer; a test that waits for this is broken.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `body` in a new network namespace, or says why not.
pub fn in_netns<B>(test: &str, body: B)
where
    B: AsyncFnOnce() + Send + 'static,
{
    if !nix::unistd::geteuid().is_root() {
        // Past the test harness, which keeps the words of a passing test to itself.
        let mut stderr = std::io::stderr();
        writeln!(stderr, "SKIP {test}: needs root: it makes network namespaces").unwrap();
        return;
    }
    let host = std::thread::spawn(move || {
        enter_new_netns();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(body());
    });
    if let Err(panic) = host.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A second host.
pub struct Peer {
    tid: i32,
    commands: Option<Sender<String>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// With a namespace of its own.
    pub fn new() -> Self {
        let (commands, received) = channel::<String>();
        let (tell_tid, tid) = channel();
        let (tell_done, done) = channel();
        let thread = std::thread::spawn(move || {
            enter_new_netns();
            tell_tid.send(nix::unistd::gettid().as_raw()).unwrap();
            for command in received {
                ip(&command);
                tell_done.send(()).unwrap();
            }
        });
        Self { tid: tid.recv().unwrap(), commands: Some(commands), done, thread: Some(thread) }
    }

    /// What `ip link set DEV netns` takes.
    pub fn netns(&self) -> i32 {
        self.tid
    }

    /// Runs `ip` there.
    pub fn ip(&self, arguments: &str) {
        self.commands.as_ref().unwrap().send(arguments.to_owned()).unwrap();
        self.done.recv().unwrap();
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.commands.take());
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// Runs `ip` in this thread's namespace and returns what it prints.
pub fn ip(arguments: &str) -> String {
    run("ip", &arguments.split_whitespace().collect::<Vec<_>>(), "")
}

/// Runs a program in this thread's namespace, with `input`, and returns what it prints.
pub fn run(program: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A veth pair here: `va` with 10.0.0.1/24 and 2001:db8::1/64, `vb` without addresses; both up.
pub fn veth_pair() -> u32 {
    pair();
    ip("addr add 2001:db8::1/64 dev va nodad");
    ip("link set vb up");
    raise_va()
}

/// As [`veth_pair`], without IPv6, whose own doings (duplicate address detection, multicast
/// listener reports) are events as well.
pub fn quiet_veth_pair() -> u32 {
    run("sysctl", &["-qw", "net.ipv6.conf.default.disable_ipv6=1"], "");
    pair();
    ip("link set vb up");
    raise_va()
}

/// As [`veth_pair`], with `vb` at `peer` and the addresses 10.0.0.2 and 2001:db8::2.
pub fn veth_to(peer: &Peer) -> u32 {
    pair();
    ip("addr add 2001:db8::1/64 dev va nodad");
    ip(&format!("link set vb netns {}", peer.netns()));
    peer.ip("addr add 10.0.0.2/24 dev vb");
    peer.ip("addr add 2001:db8::2/64 dev vb nodad");
    peer.ip("link set vb up");
    raise_va()
}

fn pair() {
    ip("link set lo up");
    ip("link add va type veth peer name vb");
    ip("addr add 10.0.0.1/24 dev va");
}

/// Last, when the other end is up: so it has a carrier from the start, and does not lose it (and
/// its neighbours with it) some time later.
fn raise_va() -> u32 {
    ip("link set va up");
    nix::net::if_::if_nametoindex("va").unwrap()
}

/// Follows the kernel until `fact` holds.
pub async fn until(netlink: &mut Netlink, what: &str, fact: impl Fn(&Topology) -> bool) {
    while !fact(netlink.topology()) {
        let changed = tokio::time::timeout(PATIENCE, netlink.changed()).await;
        changed
            .unwrap_or_else(|_| panic!("still not: {what}: {}", ip("neigh show nud all")))
            .unwrap();
    }
}

fn enter_new_netns() {
    unshare(CloneFlags::CLONE_NEWNET).unwrap();
}
