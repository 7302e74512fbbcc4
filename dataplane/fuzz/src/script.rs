use portreeve_dataplane::pipeline::packet::{Body, Upper};
use portreeve_dataplane::pipeline::parse::parse;

use crate::pieces::{self, is_v4};
use crate::world::CLIENT_MAC;

/// What happens next. Written as one byte that says what, two (little-endian) that say how many
/// bytes follow, and those bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step<'a> {
    /// The port on which it happens.
    pub port: usize,
    /// The packet gets right checksums first.
    pub finish: bool,
    /// What happens.
    pub what: What<'a>,
}

/// What happens in a [`Step`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What<'a> {
    /// This packet arrives.
    Packet(&'a [u8]),
    /// The last packet that left through the port is answered: its ends are swapped, then bytes
    /// are overwritten, (offset, value) by (offset, value).
    Answer(&'a [u8]),
    /// A router says of the last packet that left through the port that it is too big; then bytes are
    /// overwritten in the same way.
    Error(&'a [u8]),
    /// Tables change in the way of this number.
    Change(u8),
}

/// Reads all steps; the last one may be cut short.
pub fn steps(mut input: &[u8]) -> impl Iterator<Item = Step<'_>> {
    std::iter::from_fn(move || {
        let (&[what, low, high], rest) = input.split_first_chunk()?;
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (bytes, rest) = rest.split_at(len);
        input = rest;
        let step =
            |decoded| Step { port: usize::from(what & 1), finish: what & 2 != 0, what: decoded };
        Some(step(match what >> 2 & 3 {
            1 => What::Error(bytes),
            2 => What::Answer(bytes),
            3 => What::Change(bytes.first().copied().unwrap_or(0)),
            _ => What::Packet(bytes),
        }))
    })
}

/// Writes a step the way that [`steps`] reads it.
pub fn write(out: &mut Vec<u8>, step: &Step<'_>) {
    let (kind, bytes) = match &step.what {
        What::Packet(bytes) => (0, *bytes),
        What::Error(bytes) => (1, *bytes),
        What::Answer(bytes) => (2, *bytes),
        What::Change(number) => (3, std::slice::from_ref(number)),
    };
    out.push(step.port as u8 | u8::from(step.finish) << 1 | kind << 2);
    out.extend((bytes.len() as u16).to_le_bytes());
    out.extend(bytes);
}

/// The answer to a frame that was sent: source and destination change places in every header.
pub fn answer(frame: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut answer = frame.to_vec();
    swap(&mut answer, 0, 6);
    if let Body::Ip(ip) = parse(frame, frame.len()).body {
        match ip.src.is_v4() {
            true => swap(&mut answer[ip.l3() + 12..], 0, 4),
            false => swap(&mut answer[ip.l3() + 8..], 0, 16),
        }
        if let Upper::Transport(_) = ip.upper {
            swap(&mut answer[ip.l4()..], 0, 2);
        }
    }
    edit(&mut answer, edits);
    answer
}

/// The error that a router sends about a frame that was sent.
pub fn error(port: usize, frame: &[u8], edits: &[u8]) -> Vec<u8> {
    let v4 = is_v4(frame);
    let router = match (v4, port) {
        (true, 0) => "10.0.0.77",
        (true, _) => "10.1.0.77",
        (false, 0) => "fd00::77",
        (false, _) => "fd01::77",
    };
    let too_big = if v4 { (3, 4, 1280) } else { (2, 0, 1280) };
    let mut error = pieces::error((frame, 200), (router, CLIENT_MAC), too_big, b"");
    edit(&mut error, edits);
    error
}

fn edit(frame: &mut [u8], edits: &[u8]) {
    for edit in edits.chunks_exact(2) {
        if let Some(byte) = frame.get_mut(usize::from(edit[0])) {
            *byte = edit[1];
        }
    }
}

/// Lets two neighbouring fields of `len` bytes change places.
fn swap(bytes: &mut [u8], at: usize, len: usize) {
    bytes[at..at + 2 * len].rotate_left(len);
}
