//! Lays out a lab with one host, prints the host's namespace, and waits for a signal: shows that
//! an interrupted program leaves nothing behind.

use std::process::Command;

use anyhow::Result;
use portreeve_tests::bpffs::Bpffs;
use portreeve_tests::lab::Lab;
use portreeve_tests::run_dir::RunDir;

fn main() -> Result<()> {
    let lab = Lab::new("hold")?;
    let host = lab.host("a")?;
    let dir = RunDir::new()?;
    let _bpffs = Bpffs::mount(dir.path().join("bpf"))?;
    let mut forever = Command::new("tail");
    forever.args(["-f", "/dev/null"]);
    let process = host.spawn(forever)?;
    println!("{} {} {}", host.netns().name(), process.pid(), dir.path().display());
    loop {
        std::thread::park();
    }
}
