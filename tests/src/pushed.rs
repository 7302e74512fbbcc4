use std::io::{self, Read as _, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::host::Host;
use crate::server::noise;

/// A stream that stands still for longer has ended: some retransmissions fall into it.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(1);

/// A download that a server pushes while the client says nothing; every byte is compared with what
/// it has to be.
#[derive(Debug)]
pub struct Pushed {
    stream: TcpStream,
    arrived: Arc<AtomicU64>,
    reader: Option<JoinHandle<io::Result<()>>>,
}

/// Takes the bytes that have to come, and compares.
struct Expected {
    stream: TcpStream,
    arrived: Arc<AtomicU64>,
    got: Vec<u8>,
}

impl Write for Expected {
    fn write(&mut self, wanted: &[u8]) -> io::Result<usize> {
        self.got.resize(wanted.len(), 0);
        let read = self.stream.read(&mut self.got)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if self.got[..read] != wanted[..read] {
            return Err(io::Error::other("other bytes arrived than were sent"));
        }
        self.arrived.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Pushed {
    /// Asks for `length` bytes from `host` and begins to read.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn start(host: &Host, target: SocketAddr, length: u64) -> Result<Self> {
        let stream = host.enter(|| TcpStream::connect_timeout(&target, PATIENCE))?;
        let mut stream = stream.with_context(|| format!("connect to {target}"))?;
        stream.set_read_timeout(Some(PATIENCE)).context("limit the wait")?;
        write!(stream, "GET /data/{length} HTTP/1.1\r\nHost: lab\r\n\r\n").context("ask")?;
        skip_head(&mut stream).context("the head of the answer")?;
        let arrived = Arc::new(AtomicU64::new(0));
        let mut expected = Expected {
            stream: stream.try_clone().context("share the stream")?,
            arrived: Arc::clone(&arrived),
            got: Vec::new(),
        };
        let reader = std::thread::spawn(move || noise::write(length, &mut expected));
        Ok(Self { stream, arrived, reader: Some(reader) })
    }

    /// Bytes that have arrived.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.load(Ordering::Relaxed)
    }

    /// Waits until so many bytes have arrived.
    ///
    /// # Errors
    /// When they do not come.
    pub fn wait_for(&self, bytes: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.arrived() < bytes {
            ensure!(Instant::now() < deadline, "{} of {bytes} bytes came", self.arrived());
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// The client says something: one more request, whose answer nobody reads.
    ///
    /// # Errors
    /// When the connection is broken.
    pub fn speak(&mut self) -> Result<()> {
        self.stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").context("speak")
    }

    /// Waits for the last byte.
    ///
    /// # Errors
    /// When the connection broke, stood still, or brought other bytes.
    pub fn finish(mut self) -> Result<()> {
        let Some(reader) = self.reader.take() else { bail!("it has been waited for") };
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        read.with_context(|| format!("the download ended after {} bytes", self.arrived()))
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        // The reader ends with the connection.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

fn skip_head(stream: &mut TcpStream) -> io::Result<()> {
    let mut last = [0; 4];
    while last != *b"\r\n\r\n" {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        last.rotate_left(1);
        last[3] = byte[0];
    }
    Ok(())
}
