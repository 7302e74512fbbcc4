use std::io;
use std::net::UdpSocket;

/// Sends every datagram back to where it came from, for ever. IPv4 clients of a socket on `[::]`
/// are served too.
///
/// # Errors
/// When the socket fails for good; an unreachable client does not count.
pub fn serve(socket: &UdpSocket) -> io::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        match socket.recv_from(&mut buffer) {
            // A client that is gone is no reason to stop.
            Ok((length, from)) => drop(socket.send_to(&buffer[..length], from)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Err(error) => return Err(error),
        }
    }
}
