//! Tells when the configuration file is another one than before, however it was changed: written
//! in place, replaced by a rename, deleted and made again, or reached through symlinks of which
//! one was switched over (as Kubernetes does with the `..data` of a ConfigMap).
//!
//! Events say only that it is time to look. What decides is the file that the path leads to.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use rustix::fs::{Stat, stat};
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long nothing may happen before a change is reported: a file is rarely written in one go.
pub const QUIET: Duration = Duration::from_millis(100);
/// Reported after this time even if it goes on changing.
pub const QUIET_MAX: Duration = Duration::from_secs(1);
/// Symlinks followed, as the kernel does.
const SYMLINKS_MAX: usize = 40;

/// Watches one file.
pub struct ConfigWatch {
    path: PathBuf,
    route: Route,
    seen: Option<Identity>,
    signal: Arc<Notify>,
    /// Dropped and made anew when the path leads another way.
    watcher: RecommendedWatcher,
    /// When to look, and when at the latest; kept here so that a dropped future loses nothing.
    due: Option<(Instant, Instant)>,
}

/// Two files, or two states of one, differ in this.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: i64,
    /// Of data or attributes, so that a copy that keeps the modification time shows.
    changed: (i64, i64),
}

/// The way that a path takes: what is looked up in which directory.
#[derive(Debug, Default, PartialEq, Eq)]
struct Route {
    /// Directories in which a symlink or the file itself lies (or should), with their inodes,
    /// and the file, which may also change under another name.
    watched: BTreeSet<(PathBuf, u64)>,
    /// What matters of them.
    entries: BTreeSet<PathBuf>,
}

impl ConfigWatch {
    /// Begins to watch. The file does not have to exist; the directory of its name, or one above
    /// it, does. What happens to the file from here on will be told: read it afterwards.
    pub fn new(path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)
            .with_context(|| format!("find the working directory for {}", path.display()))?;
        let signal = Arc::new(Notify::new());
        let (route, watcher) = watch(&path, &signal)?;
        Ok(Self { seen: identity(&path), path, route, signal, watcher, due: None })
    }

    /// Watches from a new thread: the old one has the privileges that were held when it began.
    /// Nothing is lost in between.
    pub fn renew(&mut self) -> Result<()> {
        (self.route, self.watcher) = watch(&self.path, &self.signal)?;
        self.signal.notify_one();
        Ok(())
    }

    /// Resolves when the file is another than at the last time (or at [`Self::new`]) and nothing
    /// has happened to it for [`QUIET`]; also when it has gone. Cancellation-safe.
    pub async fn changed(&mut self) -> Result<()> {
        loop {
            self.settle().await;
            self.due = None;
            if Route::of(&self.path) != self.route {
                (self.route, self.watcher) = watch(&self.path, &self.signal)?;
            }
            // Looked at after the watches stand, so that nothing falls between.
            let now = identity(&self.path);
            if now != self.seen {
                self.seen = now;
                return Ok(());
            }
        }
    }

    /// Waits for events and for the quiet after them.
    async fn settle(&mut self) {
        loop {
            let Some((quiet, latest)) = self.due else {
                self.signal.notified().await;
                self.touch();
                continue;
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(quiet.min(latest)) => return,
                () = self.signal.notified() => self.touch(),
            }
        }
    }

    fn touch(&mut self) {
        let now = Instant::now();
        let latest = self.due.map_or(now + QUIET_MAX, |(_, latest)| latest);
        self.due = Some((now + QUIET, latest));
    }
}

/// Places watches until the way is the same after as before.
fn watch(path: &Path, signal: &Arc<Notify>) -> Result<(Route, RecommendedWatcher)> {
    loop {
        let route = Route::of(path);
        let watcher = place(&route, signal)
            .with_context(|| format!("watch configuration file {}", path.display()));
        if Route::of(path) == route {
            return Ok((route, watcher?));
        }
    }
}

fn place(route: &Route, signal: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let signal = Arc::clone(signal);
    let watched: BTreeSet<PathBuf> = route.watched.iter().map(|(path, _)| path.clone()).collect();
    let entries = route.entries.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let relevant = match event {
            Ok(event) if event.need_rescan() => true,
            Ok(event) => {
                let matters = |path| entries.contains(path) || watched.contains(path);
                is_change(event.kind) && event.paths.iter().any(matters)
            }
            // Something went unseen.
            Err(_) => true,
        };
        if relevant {
            signal.notify_one();
        }
    })?;
    for (path, _) in &route.watched {
        watcher.watch(path, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Not for opening and reading, which we do ourselves.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let found: Stat = stat(path).ok()?;
    Some(Identity {
        device: found.st_dev,
        inode: found.st_ino,
        size: found.st_size,
        changed: (found.st_ctime, found.st_ctime_nsec as i64),
    })
}

impl Route {
    /// Walks the path as the kernel would, as far as it leads.
    fn of(path: &Path) -> Self {
        let mut route = Self::default();
        let mut todo: Vec<OsString> = reversed(path);
        let mut here = PathBuf::from("/");
        let mut symlinks = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                here.pop();
                continue;
            }
            let entry = here.join(&name);
            match std::fs::symlink_metadata(&entry) {
                Ok(found) if found.is_symlink() && symlinks < SYMLINKS_MAX => {
                    symlinks += 1;
                    let Ok(target) = std::fs::read_link(&entry) else { break };
                    if target.is_absolute() {
                        here = PathBuf::from("/");
                    }
                    todo.extend(reversed(&target));
                    route.enter(&entry);
                }
                Ok(found) if found.is_dir() => here = entry,
                Ok(_) => {
                    route.enter(&entry);
                    route.watch(entry);
                    break;
                }
                // Not there (yet): its directory will tell.
                Err(_) => {
                    route.enter(&entry);
                    break;
                }
            }
        }
        route
    }

    fn enter(&mut self, entry: &Path) {
        self.entries.insert(entry.to_owned());
        if let Some(directory) = entry.parent() {
            self.watch(directory.to_owned());
        }
    }

    fn watch(&mut self, path: PathBuf) {
        // The inode, because a directory of the same name can be another one.
        let inode = stat(&path).map_or(0, |found| found.st_ino);
        self.watched.insert((path, inode));
    }
}

/// The components that name something, the first one last.
fn reversed(path: &Path) -> Vec<OsString> {
    let named = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut names: Vec<OsString> = named.collect();
    names.reverse();
    names
}

#[cfg(test)]
mod tests;
