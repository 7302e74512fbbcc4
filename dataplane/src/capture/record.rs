use zerocopy::IntoBytes as _;

use crate::drop_reason::DropReason;
use crate::spsc;
use crate::tables::PortId;

/// Words before the bytes of a packet.
pub(super) const HEAD: usize = 2;

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To us.
    In,
    /// From us.
    Out,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// What came of it stands in the packets that follow.
    None,
    /// It ended here, as it came in.
    Dropped(DropReason),
    /// It ended here when it was about to leave; the bytes are what would have left.
    Unsent(DropReason),
    /// This worker owns its flow.
    HandedOver(u8),
    /// It waits for the MAC of its next hop.
    Waits,
}

/// A packet as it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// The port that it came in or left through.
    pub port: PortId,
    /// Which way.
    pub direction: Direction,
    /// What became of it.
    pub note: Note,
    /// Its length, Ethernet header included.
    pub len: u16,
    /// Its first bytes.
    pub bytes: &'a [u8],
}

/// What stands in a record besides time and bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) port: PortId,
    pub(super) direction: Direction,
    pub(super) note: Note,
    /// Bytes of the packet.
    pub(super) len: u16,
    /// Bytes of those that are here.
    pub(super) here: u16,
}

impl Head {
    /// 16 bits each for both lengths, eight each for port, direction, note, and what it is about.
    pub(super) fn pack(self) -> u64 {
        let (note, about) = match self.note {
            Note::None => (0, 0),
            Note::Dropped(reason) => (1, reason as u8),
            Note::Unsent(reason) => (2, reason as u8),
            Note::HandedOver(worker) => (3, worker),
            Note::Waits => (4, 0),
        };
        let [a, b] = self.here.to_le_bytes();
        let [c, d] = self.len.to_le_bytes();
        let out = u8::from(self.direction == Direction::Out);
        u64::from_le_bytes([a, b, c, d, self.port.0, out, note, about])
    }

    fn unpack(word: u64) -> Self {
        let [a, b, c, d, port, out, note, about] = word.to_le_bytes();
        let reason = || DropReason::ALL.get(usize::from(about)).copied();
        let note = match note {
            1 => reason().map(Note::Dropped),
            2 => reason().map(Note::Unsent),
            3 => Some(Note::HandedOver(about)),
            4 => Some(Note::Waits),
            _ => None,
        };
        Self {
            port: PortId(port),
            direction: if out == 1 { Direction::Out } else { Direction::In },
            note: note.unwrap_or(Note::None),
            len: u16::from_le_bytes([c, d]),
            here: u16::from_le_bytes([a, b]),
        }
    }
}

/// Control's end of what one worker copies.
#[derive(Debug)]
pub struct Reader {
    ring: spsc::Receiver,
    /// The bytes of the record that was read last.
    bytes: Box<[u64]>,
}

impl Reader {
    pub(super) fn new(ring: spsc::Receiver, snaplen: u16) -> Self {
        Self { ring, bytes: vec![0; words(snaplen)].into() }
    }

    /// The next packet that the worker has copied, if there is one.
    pub fn next_record(&mut self) -> Option<Record<'_>> {
        // A record is pushed and published whole.
        let time_ns = self.ring.pop()?;
        let Head { port, direction, note, len, here } = Head::unpack(self.ring.pop()?);
        for word in self.bytes.get_mut(..words(here))? {
            *word = self.ring.pop()?;
        }
        self.ring.release();
        let bytes = self.bytes.as_bytes().get(..usize::from(here))?;
        Some(Record { time_ns, port, direction, note, len, bytes })
    }
}

/// Words that so many bytes take.
pub(super) const fn words(bytes: u16) -> usize {
    (bytes as usize).div_ceil(size_of::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_the_same_after_the_way() {
        let dropped = DropReason::ALL.iter().map(|reason| Note::Dropped(*reason));
        let unsent = DropReason::ALL.iter().map(|reason| Note::Unsent(*reason));
        let others = [Note::None, Note::HandedOver(7), Note::Waits];
        for note in dropped.chain(unsent).chain(others) {
            for direction in [Direction::In, Direction::Out] {
                let head = Head { port: PortId(31), direction, note, len: 15_346, here: 300 };
                let back = Head::unpack(head.pack());
                assert_eq!(
                    (back.port, back.direction, back.note, back.len, back.here),
                    (head.port, head.direction, head.note, head.len, head.here)
                );
            }
        }
    }
}
