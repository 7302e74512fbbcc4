//! The Kubernetes control plane that tests talk to: built once from `tests/control-plane/` into a cache,
//! under a name that follows from its sources, so that a second run builds nothing.

use std::env;
use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::cargo::{root, target};
use crate::run::run;
use crate::step::Outcome;
use crate::tools;

/// Where the sources are.
const SOURCES: &str = "tests/control-plane";
/// What of them decides on what is built.
const FILES: [&str; 3] = ["go.mod", "go.sum", "main.go"];
/// Without it kubectl cannot read the server's version.
const VERSION: [&str; 3] = ["v1.36.3", "1", "36"];
/// Cilium's own definitions of its objects.
const CILIUM: &str = "github.com/cilium/cilium@v1.20.2";
/// Where they are in that module.
const CRDS: &str = "pkg/k8s/apis/cilium.io/client/crds";
/// The oldest that builds it.
const GO_MINOR: u32 = 26;

/// Where tests find it: the program `control-plane` and the directory `crds`.
///
/// # Errors
/// When the sources cannot be read.
pub fn directory() -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    (VERSION, CILIUM).hash(&mut hasher);
    for file in FILES {
        let path = root().join(SOURCES).join(file);
        std::fs::read(&path).with_context(|| format!("read {}", path.display()))?.hash(&mut hasher);
    }
    Ok(cache().join(format!("control-plane-{:016x}", hasher.finish())))
}

/// Outside of the repository: a fresh checkout builds it no second time.
pub fn cache() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    base.map_or_else(|| target().join("cache"), |base| base.join("portreeve"))
}

/// Builds it, unless it is there. Where Go or the modules cannot be had it is left out, and the tests that
/// need it say so.
///
/// # Errors
/// When it does not build.
pub fn build() -> Result<Outcome> {
    let directory = directory()?;
    if directory.exists() {
        return Ok(Outcome::Passed);
    }
    // It gets its name when all of it is there.
    let unfinished = directory.with_extension("unfinished");
    std::fs::create_dir_all(&unfinished).context("make the cache")?;
    let go = match fetch(&unfinished) {
        Ok(go) => go,
        Err(error) => return Ok(Outcome::Skipped(format!("{error:#}"))),
    };
    println!("kube-apiserver, controllers, kubectl and etcd (the first time takes five minutes)");
    let [version, major, minor] = VERSION;
    let set = |name: &str, value: &str| format!(" -X k8s.io/component-base/version.{name}={value}");
    let flags = ["-s -w".to_owned(), set("gitVersion", version), set("gitMajor", major)];
    let flags = flags.concat() + &set("gitMinor", minor);
    // What the repository's version control says is of no concern, and it may not say anything.
    let mut command =
        in_module(&go, &["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags]);
    run(command.arg("-o").arg(unfinished.join("control-plane")).arg("."))?;
    std::fs::rename(&unfinished, &directory).context("name what was built")?;
    Ok(Outcome::Passed)
}

/// What has to come from elsewhere: a toolchain, the sources, and the definitions of Cilium's objects.
fn fetch(unfinished: &Path) -> Result<OsString> {
    let go = go()?;
    println!("the sources of Kubernetes, and the definitions of Cilium's objects");
    run(&mut in_module(&go, &["mod", "download"]))?;
    crds(&go, &unfinished.join("crds"))?;
    Ok(go)
}

fn in_module(go: &OsString, args: &[&str]) -> Command {
    let mut command = Command::new(go);
    command.args(args).current_dir(root().join(SOURCES)).env("CGO_ENABLED", "0");
    command
}

/// Copies the definitions, of both versions that there are.
fn crds(go: &OsString, to: &Path) -> Result<()> {
    let output = in_module(go, &["mod", "download", "-json", CILIUM]).output().context("run go")?;
    let text = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "go mod download {CILIUM}: {text}");
    let line = text.lines().find_map(|line| line.trim().strip_prefix("\"Dir\": \""));
    let dir = line.and_then(|line| line.split('"').next()).context("where go has put Cilium")?;
    std::fs::create_dir_all(to)?;
    for version in ["v2", "v2alpha1"] {
        let from = Path::new(dir).join(CRDS).join(version);
        let entries = std::fs::read_dir(&from).with_context(|| from.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let name = format!("{version}-{}", entry.file_name().to_string_lossy());
            std::fs::copy(entry.path(), to.join(name))?;
        }
    }
    Ok(())
}

/// The program `go`: the machine's own where it is new enough, else one of ours.
///
/// # Errors
/// When there is none and none can be had.
pub fn go() -> Result<OsString> {
    let own = OsString::from("go");
    if is_new(&own) {
        return Ok(own);
    }
    Ok(tools::GO.installed()?.into())
}

fn is_new(go: &OsString) -> bool {
    let Ok(output) = Command::new(go).arg("version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout);
    let minor = text.split("go1.").nth(1).and_then(|rest| rest.split(['.', ' ']).next());
    minor.and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor >= GO_MINOR)
}
