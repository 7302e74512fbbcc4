//! What stands behind the VIPs in the lab: a `whoami`, downloads and UDP echo, on every address
//! of the host in both families. Prints `ready` when it listens.

use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::thread::spawn;

use anyhow::{Context as _, Result};
use clap::Parser;
use nix::sys::socket::{Backlog, listen, setsockopt, sockopt};
use portreeve_tests::process::allow_many_files;
use portreeve_tests::server::{http, udp_echo};

/// A server for the lab.
#[derive(Debug, Parser)]
struct Options {
    /// What to answer as.
    #[arg(long)]
    name: String,
    /// TCP port for HTTP; may be given several times.
    #[arg(long)]
    http: Vec<u16>,
    /// UDP port to echo; may be given several times.
    #[arg(long)]
    udp: Vec<u16>,
    /// Address and UDP port to echo, from there alone; may be given several times.
    #[arg(long)]
    echo: Vec<SocketAddr>,
}

fn main() -> Result<()> {
    let options = Options::parse();
    allow_many_files();
    let mut threads = Vec::new();
    for port in options.http {
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .with_context(|| format!("listen on TCP port {port}"))?;
        // The standard library's queue of 128 is short for 500 connections at once.
        listen(&listener, Backlog::MAXCONN).context("lengthen the queue")?;
        let name = options.name.clone();
        threads.push(spawn(move || http::serve(&listener, &name)));
    }
    let anywhere = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    for at in options.udp.into_iter().map(anywhere).chain(options.echo) {
        let socket = UdpSocket::bind(at).with_context(|| format!("bind UDP {at}"))?;
        // Best effort: a burst of datagrams must not be lost for want of a buffer here.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &(8 << 20));
        threads.push(spawn(move || udp_echo::serve(&socket)));
    }
    println!("ready");
    for thread in threads {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    }
    Ok(())
}
