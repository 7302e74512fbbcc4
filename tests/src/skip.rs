use std::io::Write as _;

/// Whether this process may make network namespaces. If not, says loudly that `test` is skipped;
/// `cargo xtask test` counts that line.
#[must_use]
pub fn has_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        say(test, "needs root: it makes network namespaces");
    }
    root
}

/// Whether there is a control plane to run besides; if not, says so of `test`.
#[must_use]
pub fn has_control_plane(test: &str) -> bool {
    let missing = crate::cluster::missing();
    if let Some(why) = &missing {
        say(test, why);
    }
    missing.is_none() && has_root(test)
}

/// Says that `test` does not run here, and why. Written past the test harness, which would keep
/// the words of a passing test to itself.
pub fn say(test: &str, reason: &str) {
    // In one piece, since tests speak at the same time. A closed stderr leaves nobody to tell.
    let line = format!("SKIP {test}: {reason}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}
