//! TCP connections that stay open and go on asking, each answered by one server all along.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::host::Host;
use crate::server::noise;

/// How long an answer may take: some retransmissions, when something was lost.
const ANSWER: Duration = Duration::from_secs(15);
/// Threads of a crowd.
const THREADS: usize = 8;
/// Between two questions of a thread: several thousand exchanges a second would only measure how
/// busy the machine is.
const PACE: Duration = Duration::from_millis(1);
/// How long a crowd may take for two exchanges on each connection.
const GO_ON: Duration = Duration::from_secs(40);

/// An open connection to a `whoami` behind a VIP.
#[derive(Debug)]
pub struct Connection {
    /// The VIP and port asked.
    pub to: SocketAddr,
    /// Who answered first.
    pub server: String,
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects from `host` and asks who answers.
    ///
    /// # Errors
    /// When nobody does.
    pub fn open(host: &Host, to: SocketAddr) -> Result<Self> {
        host.enter(|| Self::open_here(to, ANSWER))?
    }

    /// As [`Connection::open`], in the network namespace of the calling thread; `patience` is how long
    /// each answer may take.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub fn open_here(to: SocketAddr, patience: Duration) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&to, patience);
        let stream = stream.with_context(|| format!("connect to {to}"))?;
        stream.set_read_timeout(Some(patience)).context("limit the wait for answers")?;
        stream.set_nodelay(true).context("send at once")?;
        let mut opened = Self { to, server: String::new(), reader: BufReader::new(stream) };
        opened.server = opened.ask().with_context(|| format!("ask {to}"))?;
        Ok(opened)
    }

    /// Asks once more and returns the name of the server that answers.
    ///
    /// # Errors
    /// What the connection says: `ConnectionReset` when it was ended.
    pub fn ask(&mut self) -> io::Result<String> {
        let body = self.get("/")?;
        let body = String::from_utf8_lossy(&body);
        let name = body.lines().find_map(|line| line.strip_prefix("Hostname: "));
        name.map(str::to_owned).ok_or_else(|| io::Error::other(format!("answered {body:?}")))
    }

    /// Downloads so many bytes.
    ///
    /// # Errors
    /// As [`Connection::ask`]; `InvalidData` when it is other bytes than the server has.
    pub fn download(&mut self, length: u64) -> io::Result<()> {
        let mut expected = Vec::new();
        noise::write(length, &mut expected)?;
        if self.get(&format!("/data/{length}"))? == expected {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "the download came damaged"))
    }

    fn get(&mut self, path: &str) -> io::Result<Vec<u8>> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: lab\r\n\r\n");
        self.reader.get_mut().write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(value) = line.strip_prefix("Content-Length: ") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }
}

/// What became of a connection of a crowd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Talk {
    /// The VIP and port.
    pub to: SocketAddr,
    /// Its server.
    pub server: String,
    /// Answers so far.
    pub exchanges: u64,
    /// How it ended; `InvalidData` when another server answered, or other bytes came.
    pub end: Option<io::ErrorKind>,
}

/// Many connections that ask all the time.
#[derive(Debug)]
pub struct Crowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    talks: Vec<Talk>,
    stop: bool,
}

impl Crowd {
    /// Opens `count` connections from `host`, in turn to each of `targets`, and lets them talk.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn start(host: &Host, targets: &[SocketAddr], count: usize) -> Result<Self> {
        Self::start_at(PACE, host, targets, count)
    }

    /// As [`Crowd::start`], with so much time between two questions of each of its eight threads.
    ///
    /// # Errors
    /// As [`Crowd::start`].
    pub fn start_at(
        pace: Duration,
        host: &Host,
        targets: &[SocketAddr],
        count: usize,
    ) -> Result<Self> {
        let opened: Vec<_> = (0..count)
            .map(|at| Connection::open(host, targets[at % targets.len()]))
            .collect::<Result<_>>()?;
        let talk = |c: &Connection| {
            let (to, server) = (c.to, c.server.clone());
            Talk { to, server, exchanges: 0, end: None }
        };
        let state = State { talks: opened.iter().map(talk).collect(), stop: false };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let mut parts: Vec<Vec<_>> = (0..THREADS).map(|_| Vec::new()).collect();
        for (at, connection) in opened.into_iter().enumerate() {
            parts[at % THREADS].push((at, connection));
        }
        let spawn = |part| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || talk_on(&shared, part, pace))
        };
        let threads = parts.into_iter().map(spawn).collect();
        Ok(Self { shared, threads })
    }

    /// Waits until every connection that lives has exchanged twice more, of which once wholly
    /// after this call, or has ended.
    ///
    /// # Errors
    /// When one does neither for long.
    pub fn go_on(&self) -> Result<()> {
        let state = self.shared.lock();
        let goals: Vec<_> = state.talks.iter().map(|talk| talk.exchanges + 2).collect();
        let waits = |state: &mut State| {
            let mut talks = state.talks.iter().zip(&goals);
            talks.any(|(talk, goal)| talk.end.is_none() && talk.exchanges < *goal)
        };
        let waited = self.shared.changed.wait_timeout_while(state, GO_ON, waits);
        let (state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        let talks = state.talks.iter().zip(&goals);
        let stuck: Vec<_> =
            talks.filter(|(t, goal)| t.end.is_none() && t.exchanges < **goal).take(5).collect();
        ensure!(!timeout.timed_out(), "connections that stand still: {stuck:?}");
        Ok(())
    }

    /// All connections as they are now.
    #[must_use]
    pub fn talks(&self) -> Vec<Talk> {
        self.shared.lock().talks.clone()
    }

    /// As [`Crowd::go_on`], and none may have ended.
    ///
    /// # Errors
    /// When one stands still or has ended.
    pub fn all_go_on(&self) -> Result<()> {
        self.go_on()?;
        let ended: Vec<_> = self.talks().into_iter().filter(|talk| talk.end.is_some()).collect();
        ensure!(ended.is_empty(), "{} connections ended: {ended:?}", ended.len());
        Ok(())
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        for thread in self.threads.drain(..) {
            // A panic in it has failed nothing but its own connections, which stand still.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks on each connection in turn until told to stop.
fn talk_on(shared: &Shared, mut part: Vec<(usize, Connection)>, pace: Duration) {
    while !part.is_empty() {
        part.retain_mut(|(at, connection)| {
            if shared.lock().stop {
                return false;
            }
            let bytes = 1 + *at as u64;
            let end =
                match connection.ask().and_then(|name| connection.download(bytes).map(|()| name)) {
                    Ok(name) if name == connection.server => None,
                    Ok(_) => Some(io::ErrorKind::InvalidData),
                    Err(error) => Some(error.kind()),
                };
            let mut state = shared.lock();
            let talk = &mut state.talks[*at];
            talk.exchanges += u64::from(end.is_none());
            talk.end = end;
            shared.changed.notify_all();
            drop(state);
            std::thread::sleep(pace);
            end.is_none()
        });
    }
}
