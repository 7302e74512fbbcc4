//! The blocks of draft-ietf-opsawg-pcapng: one section, little-endian, one interface per port,
//! nanoseconds.

use dataplane::capture::{Direction, Note, Record};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const STATISTICS: u32 = 5;
const PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;
const ETHERNET: u16 = 1;
/// 10^-9 s.
const NANOSECONDS: u8 = 9;

/// Option codes.
mod option {
    pub const END: u16 = 0;
    pub const COMMENT: u16 = 1;
    pub const APPLICATION: u16 = 4;
    pub const INTERFACE_NAME: u16 = 2;
    pub const MAC: u16 = 6;
    pub const RESOLUTION: u16 = 9;
    pub const FLAGS: u16 = 2;
    pub const RECEIVED: u16 = 4;
    pub const DROPPED: u16 = 5;
}

/// The header of the file.
pub fn section(out: &mut Vec<u8>, application: &str) {
    block(out, SECTION, |out| {
        out.extend(BYTE_ORDER.to_le_bytes());
        out.extend([1, 0, 0, 0]);
        // The length of the section is not known.
        out.extend(u64::MAX.to_le_bytes());
        put(out, option::APPLICATION, application.as_bytes());
        put(out, option::END, &[]);
    });
}

/// A port; they are numbered in the order in which they come.
pub fn interface(out: &mut Vec<u8>, name: &str, mac: [u8; 6], snaplen: u16) {
    block(out, INTERFACE, |out| {
        out.extend(ETHERNET.to_le_bytes());
        out.extend([0; 2]);
        out.extend(u32::from(snaplen).to_le_bytes());
        put(out, option::INTERFACE_NAME, name.as_bytes());
        put(out, option::MAC, &mac);
        put(out, option::RESOLUTION, &[NANOSECONDS]);
        put(out, option::END, &[]);
    });
}

/// A packet, with its direction, and what became of it as a comment.
pub fn packet(out: &mut Vec<u8>, record: &Record<'_>) {
    let direction: u32 = match record.direction {
        Direction::In => 1,
        Direction::Out => 2,
    };
    block(out, PACKET, |out| {
        out.extend(u32::from(record.port.0).to_le_bytes());
        time(out, record.time_ns);
        out.extend((record.bytes.len() as u32).to_le_bytes());
        out.extend(u32::from(record.len).to_le_bytes());
        out.extend(record.bytes);
        pad(out);
        put(out, option::FLAGS, &direction.to_le_bytes());
        if let Some(comment) = comment(record.note) {
            put(out, option::COMMENT, comment.as_bytes());
        }
        put(out, option::END, &[]);
    });
}

/// What was counted of a port until `time_ns`: packets that were wanted, and those of them that
/// were not copied.
pub fn statistics(out: &mut Vec<u8>, port: u8, time_ns: u64, (wanted, lost): (u64, u64)) {
    block(out, STATISTICS, |out| {
        out.extend(u32::from(port).to_le_bytes());
        time(out, time_ns);
        if lost > 0 {
            put(out, option::COMMENT, format!("{lost} packets were not captured").as_bytes());
        }
        put(out, option::RECEIVED, &wanted.to_le_bytes());
        put(out, option::DROPPED, &lost.to_le_bytes());
        put(out, option::END, &[]);
    });
}

/// What is said of a packet.
fn comment(note: Note) -> Option<String> {
    match note {
        Note::None => None,
        Note::Dropped(reason) => Some(format!("dropped: {}", reason.name())),
        Note::Unsent(reason) => {
            Some(format!("dropped: {}, shown as it would have left", reason.name()))
        }
        Note::HandedOver(worker) => Some(format!("handed over to worker {worker}")),
        Note::Waits => Some("waits for its next hop".to_owned()),
    }
}

fn time(out: &mut Vec<u8>, ns: u64) {
    out.extend(((ns >> 32) as u32).to_le_bytes());
    out.extend((ns as u32).to_le_bytes());
}

fn block(out: &mut Vec<u8>, kind: u32, body: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    out.extend(kind.to_le_bytes());
    out.extend([0; 4]);
    body(out);
    // The length stands at both ends.
    let len = ((out.len() - begin + 4) as u32).to_le_bytes();
    out.extend(len);
    out[begin + 4..begin + 8].copy_from_slice(&len);
}

fn put(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.extend(code.to_le_bytes());
    out.extend(len.to_le_bytes());
    out.extend(&value[..usize::from(len)]);
    pad(out);
}

/// Everything is a multiple of four bytes long.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

/// What a file of ours holds, block by block, for whoever passes it on.
#[derive(Debug, Default)]
pub struct Blocks {
    /// What came, and is not whole yet.
    rest: Vec<u8>,
    /// Packets so far.
    pub packets: u64,
    /// Packets that were not copied, once the file has ended.
    pub lost: u64,
    /// The statistics came: nothing follows.
    pub ended: bool,
}

impl Blocks {
    /// Takes what came; returns the blocks that are whole now.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.rest.extend(bytes);
        let mut whole = 0;
        while let Some(len) = length(&self.rest[whole..]) {
            let block = &self.rest[whole..whole + len];
            match word(block, 0) {
                Some(PACKET) => self.packets += 1,
                Some(STATISTICS) => {
                    self.ended = true;
                    self.lost += dropped(block);
                }
                _ => {}
            }
            whole += len;
        }
        let rest = self.rest.split_off(whole);
        std::mem::replace(&mut self.rest, rest)
    }
}

/// The length of the first block, when it is whole.
fn length(bytes: &[u8]) -> Option<usize> {
    let len = word(bytes, 4)? as usize;
    (len >= 12 && len <= bytes.len()).then_some(len)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The number of lost packets in a block of statistics.
fn dropped(block: &[u8]) -> u64 {
    let mut at = 20;
    while let Some(head) = word(block, at) {
        let (code, len) = (head as u16, (head >> 16) as usize);
        if code == option::DROPPED {
            let value = block.get(at + 4..).and_then(<[u8]>::first_chunk);
            return value.map_or(0, |value| u64::from_le_bytes(*value));
        }
        at += 4 + len.next_multiple_of(4);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use dataplane::drop_reason::DropReason;
    use dataplane::tables::PortId;

    fn record(note: Note) -> Record<'static> {
        let (time_ns, port) = (0x1234_5678_9abc_def0, PortId(1));
        Record { time_ns, port, direction: Direction::In, note, len: 60, bytes: &[1, 2, 3, 4, 5] }
    }

    #[test]
    fn a_packet_is_written_as_the_format_says() {
        let mut out = Vec::new();
        packet(&mut out, &record(Note::Dropped(DropReason::NoFlow)));
        let mut want = vec![6, 0, 0, 0, 72, 0, 0, 0, 1, 0, 0, 0];
        want.extend([0x78, 0x56, 0x34, 0x12, 0xf0, 0xde, 0xbc, 0x9a]);
        want.extend([5, 0, 0, 0, 60, 0, 0, 0, 1, 2, 3, 4, 5, 0, 0, 0]);
        want.extend([2, 0, 4, 0, 1, 0, 0, 0]);
        want.extend([1, 0, 16, 0]);
        want.extend(*b"dropped: no_flow");
        want.extend([0, 0, 0, 0, 72, 0, 0, 0]);
        assert_eq!(out, want);
    }

    #[test]
    fn blocks_are_counted_however_they_come() {
        let mut file = Vec::new();
        section(&mut file, "portreeve");
        interface(&mut file, "ens5", [2, 0, 0, 0, 0, 1], 256);
        for note in [Note::None, Note::Waits, Note::HandedOver(3)] {
            packet(&mut file, &record(note));
        }
        statistics(&mut file, 0, 1, (5, 2));
        for step in [1, 3, 64, file.len()] {
            let mut blocks = Blocks::default();
            let passed: Vec<u8> = file.chunks(step).flat_map(|part| blocks.take(part)).collect();
            assert!(passed == file && blocks.ended);
            assert_eq!((blocks.packets, blocks.lost), (3, 2));
        }
    }
}
