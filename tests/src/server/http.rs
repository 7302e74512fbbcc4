//! As much of HTTP/1.1 as curl and the tests speak: requests without a body, keep-alive unless
//! `Connection: close`.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};

use super::noise;

const HEAD_MAX: u64 = 64 << 10;

/// Accepts connections for ever, a thread each.
///
/// # Errors
/// When the listening socket fails.
pub fn serve(listener: &TcpListener, name: &str) -> io::Result<()> {
    loop {
        let (stream, from) = listener.accept()?;
        let name = name.to_owned();
        // A client that goes away in the middle ends its own thread only.
        std::thread::spawn(move || drop(converse(stream, from, &name)));
    }
}

fn converse(stream: TcpStream, from: SocketAddr, name: &str) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = BufWriter::with_capacity(128 << 10, stream);
    while let Some(request) = Request::read(&mut reader)? {
        match request.download() {
            Some(length) => {
                head(&mut writer, "application/octet-stream", length)?;
                noise::write(length, &mut writer)?;
            }
            None => {
                let body = whoami(name, from, &request, &own_addresses());
                head(&mut writer, "text/plain; charset=utf-8", body.len() as u64)?;
                writer.write_all(body.as_bytes())?;
            }
        }
        writer.flush()?;
        if request.closes() {
            break;
        }
    }
    Ok(())
}

fn head(out: &mut impl Write, kind: &str, length: u64) -> io::Result<()> {
    write!(out, "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n")
}

#[derive(Debug, PartialEq, Eq)]
struct Request {
    line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The next request; `None` when the client has closed.
    fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = reader.take(HEAD_MAX);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut headers = Vec::new();
        loop {
            let mut header = String::new();
            head.read_line(&mut header)?;
            match header.trim_end().split_once(':') {
                Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
                None if header.ends_with('\n') => break,
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        Ok(Some(Self { line: line.trim_end().to_owned(), headers }))
    }

    fn download(&self) -> Option<u64> {
        let path = self.line.split_whitespace().nth(1)?;
        path.strip_prefix("/data/")?.parse().ok()
    }

    fn closes(&self) -> bool {
        let close = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close")
        };
        self.headers.iter().any(close) || self.line.ends_with("HTTP/1.0")
    }
}

/// The words of `traefik/whoami`: who answers, to whom, and what was asked.
fn whoami(name: &str, from: SocketAddr, request: &Request, own: &[IpAddr]) -> String {
    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
    let mut text = format!("Hostname: {name}\n");
    for address in own {
        let _ = writeln!(text, "IP: {address}");
    }
    let _ = write!(text, "RemoteAddr: {from}\n{}\n", request.line);
    let mut headers: Vec<_> = request.headers.iter().collect();
    // Host first, then by name.
    headers.sort_by_key(|(name, _)| (!name.eq_ignore_ascii_case("host"), name.clone()));
    for (name, value) in headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    text.push('\n');
    text
}

fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else {
        return Vec::new();
    };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    };
    interfaces.filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Request {
        Request::read(&mut text.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn answers_in_the_words_of_whoami() {
        let asked =
            "GET / HTTP/1.1\r\nUser-Agent: curl/7.81.0\r\nHost: 10.10.200.1\r\nAccept: */*\r\n\r\n";
        let own = ["127.0.0.1".parse().unwrap(), "172.16.1.93".parse().unwrap()];
        let from = "[::ffff:192.168.10.10]:46986".parse().unwrap();
        let expected = "Hostname: webpod1\nIP: 127.0.0.1\nIP: 172.16.1.93\n\
                        RemoteAddr: 192.168.10.10:46986\nGET / HTTP/1.1\nHost: 10.10.200.1\n\
                        Accept: */*\nUser-Agent: curl/7.81.0\n\n";
        assert_eq!(whoami("webpod1", from, &request(asked), &own), expected);
    }

    #[test]
    fn keeps_the_connection_unless_asked_to_close() {
        assert!(!request("GET / HTTP/1.1\r\nHost: a\r\n\r\n").closes());
        assert!(request("GET / HTTP/1.1\r\nconnection: Close\r\n\r\n").closes());
        assert!(request("GET / HTTP/1.0\r\n\r\n").closes());
    }

    #[test]
    fn a_path_under_data_is_a_download() {
        assert_eq!(request("GET /data/200 HTTP/1.1\r\n\r\n").download(), Some(200));
        assert_eq!(request("GET / HTTP/1.1\r\n\r\n").download(), None);
    }

    #[test]
    fn a_request_cut_short_is_an_error_and_a_closed_connection_is_not() {
        assert!(Request::read(&mut "GET / HTTP/1.1\r\nHost".as_bytes()).is_err());
        assert_eq!(Request::read(&mut "".as_bytes()).unwrap(), None);
    }
}
