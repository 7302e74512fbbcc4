//! Giving up what is only needed to start.
//!
//! Capabilities and `no_new_privs` belong to a thread; a new thread starts with its parent's.
//! So either `drop_for_this_thread` runs before any other thread is spawned, or each thread
//! calls it for itself. What start needs and nobody keeps: `CAP_BPF` and `CAP_PERFMON` (loading
//! and attaching; map entries are written through descriptors held since then, which Linux from
//! 5.19 on allows to anyone), `CAP_SYS_ADMIN` (entering a namespace, mounting), `CAP_SYS_RESOURCE`
//! (limits), `CAP_IPC_LOCK` (replaced by the raised limit), `CAP_SYS_NICE`, and root's licence to
//! read and write everybody's files (`CAP_DAC_OVERRIDE`): the configuration has to be readable
//! for its owner root, or for all.

use anyhow::{Context, Result};
use caps::{CapSet, Capability, CapsHashSet};
use rustix::process::{Resource, Rlimit, setrlimit};

/// What a thread does after start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Keeps neighbour entries, opens sockets anew when a port comes back.
    Control,
    /// Moves packets through sockets that it was handed.
    Worker,
    /// Probes backends; its raw sockets are open before it drops anything.
    Prober,
    /// Speaks with the API server of a cluster.
    Cluster,
}

impl Role {
    fn needs(self) -> CapsHashSet {
        match self {
            Self::Control => CapsHashSet::from([
                Capability::CAP_NET_ADMIN, // neighbour entries, device settings, busy polling
                Capability::CAP_NET_RAW,   // AF_XDP sockets
            ]),
            Self::Worker | Self::Prober | Self::Cluster => CapsHashSet::new(),
        }
    }
}

/// Lifts the limit on locked memory, which counts the packet memory of all sockets (UMEM) and,
/// before Linux 5.11, BPF maps. Needs `CAP_SYS_RESOURCE`; for the whole process.
pub fn raise_memlock() -> Result<()> {
    setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None })
        .context("lift the limit on locked memory (RLIMIT_MEMLOCK)")
}

/// Drops every capability that `role` does not need from all sets of the calling thread, for
/// good: also from the bounding set when it may, and with `no_new_privs` so that no program that
/// it executes gets any back. Returns the names of what remains, sorted.
pub fn drop_for_this_thread(role: Role) -> Result<Vec<String>> {
    rustix::thread::set_no_new_privs(true).context("set no_new_privs")?;
    let held = read(CapSet::Permitted)?;
    let keep: CapsHashSet = role.needs().intersection(&held).copied().collect();
    // Shrinking the bounding set is itself a privilege; without it there is nothing to bound.
    if held.contains(&Capability::CAP_SETPCAP) {
        for capability in read(CapSet::Bounding)?.difference(&keep) {
            caps::drop(None, CapSet::Bounding, *capability)
                .with_context(|| format!("drop {capability} from the bounding set"))?;
        }
    }
    caps::clear(None, CapSet::Ambient).context("clear the ambient set")?;
    // Effective before permitted: it may never exceed that.
    write(CapSet::Inheritable, &CapsHashSet::new())?;
    write(CapSet::Effective, &keep)?;
    write(CapSet::Permitted, &keep)?;
    let mut remaining: Vec<String> =
        read(CapSet::Permitted)?.iter().map(ToString::to_string).collect();
    remaining.sort();
    tracing::info!(?role, capabilities = remaining.join(" "), "dropped privileges");
    Ok(remaining)
}

fn read(set: CapSet) -> Result<CapsHashSet> {
    caps::read(None, set).with_context(|| format!("read the {set:?} set"))
}

fn write(set: CapSet, value: &CapsHashSet) -> Result<()> {
    caps::set(None, set, value).with_context(|| format!("set the {set:?} set"))
}

#[cfg(test)]
mod tests {
    use super::*;

    // In a thread of its own, so that nothing sticks to the test runner's.
    fn in_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(body).join().unwrap()
    }

    fn effective() -> CapsHashSet {
        read(CapSet::Effective).unwrap()
    }

    #[test]
    fn a_worker_keeps_nothing_and_cannot_get_it_back() {
        in_a_thread(|| {
            assert_eq!(drop_for_this_thread(Role::Worker).unwrap(), Vec::<String>::new());
            assert_eq!(effective(), CapsHashSet::new());
            assert!(rustix::thread::no_new_privs().unwrap());
            assert!(caps::raise(None, CapSet::Effective, Capability::CAP_NET_RAW).is_err());
        });
    }

    #[test]
    fn control_keeps_only_what_it_uses_and_its_threads_inherit_that() {
        in_a_thread(|| {
            let held = effective();
            drop_for_this_thread(Role::Control).unwrap();
            let kept: CapsHashSet = Role::Control.needs().intersection(&held).copied().collect();
            assert_eq!(effective(), kept);
            assert_eq!(in_a_thread(effective), kept);
        });
    }

    #[test]
    fn dropping_twice_is_the_same_as_once() {
        in_a_thread(|| {
            let once = drop_for_this_thread(Role::Control).unwrap();
            assert_eq!(drop_for_this_thread(Role::Control).unwrap(), once);
        });
    }

    #[test]
    fn other_threads_are_not_touched() {
        let before = effective();
        in_a_thread(|| drop_for_this_thread(Role::Worker).unwrap());
        assert_eq!(effective(), before);
    }
}
