use zerocopy::IntoBytes as _;

use super::filter::Filter;
use super::record::{Direction, HEAD, Head, Note, Reader, words};
use crate::drop_reason::DropReason;
use crate::limits::PORTS_MAX;
use crate::pipeline::Ctx;
use crate::pipeline::packet::Packet;
use crate::pipeline::parse;
use crate::pipeline::tap::Tap;
use crate::pipeline::vlan;
use crate::spsc;
use crate::tables::PortId;
use crate::time::wall_ns;
use crate::xsk::{Frame, Umem};

/// Bytes before a tag.
const BOTH_MACS: usize = 12;

/// Copies packets into a bounded ring. Made by control and given back to it, so that a worker
/// neither allocates nor frees; a ring that is full costs copies, never time.
#[derive(Debug)]
pub struct Recorder {
    filter: Filter,
    ring: spsc::Sender,
    now_ns: u64,
    /// The packet at hand as it came in, while what became of it is open.
    received: Image,
    open: Option<Open>,
    /// The same while something else leaves.
    set_aside: Option<Open>,
    /// A packet that is about to leave.
    leaving: Image,
    facts: Packet,
    snaplen: u16,
    seen: [Seen; PORTS_MAX],
}

/// What a recorder took of one port's packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Packets that the filter took.
    pub taken: u64,
    /// Of those, packets that were not copied because the ring was full.
    pub lost: u64,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    packet: Packet,
    handed: bool,
}

/// Room for a record.
#[derive(Debug)]
struct Image {
    words: Box<[u64]>,
    port: PortId,
    len: u16,
    here: u16,
}

impl Image {
    fn new(snaplen: u16) -> Self {
        Self { words: vec![0; HEAD + words(snaplen)].into(), port: PortId(0), len: 0, here: 0 }
    }

    /// `vlan` is the tag that was taken out of the frame.
    fn copy(&mut self, (port, vlan): (PortId, u16), umem: &Umem, frame: &mut Frame, snaplen: u16) {
        let view = umem.view(frame);
        let bytes = &mut self.words[HEAD..].as_mut_bytes()[..usize::from(snaplen)];
        let mut here = view.copy_out(0, bytes);
        let mut len = view.total_len();
        if vlan != 0 && here >= BOTH_MACS {
            let room = bytes.len() - BOTH_MACS;
            let tag = vlan::tag(vlan);
            let shown = tag.len().min(room);
            here = BOTH_MACS + shown + view.copy_out(BOTH_MACS, &mut bytes[BOTH_MACS + shown..]);
            bytes[BOTH_MACS..BOTH_MACS + shown].copy_from_slice(&tag[..shown]);
            len += tag.len();
        }
        self.here = here as u16;
        self.len = len.min(usize::from(u16::MAX)) as u16;
        self.port = port;
    }
}

impl Recorder {
    /// One that copies the first `snaplen` bytes of what `filter` takes, through a ring of at least
    /// `capacity` words; and where the copies come out.
    #[must_use]
    pub fn new(filter: Filter, snaplen: u16, capacity: usize) -> (Self, Reader) {
        let (ring, out) = spsc::ring(capacity);
        let recorder = Self {
            filter,
            ring,
            now_ns: 0,
            received: Image::new(snaplen),
            open: None,
            set_aside: None,
            leaving: Image::new(snaplen),
            facts: parse::parse(&[], 0),
            snaplen,
            seen: [Seen::default(); PORTS_MAX],
        };
        (recorder, Reader::new(out, snaplen))
    }

    /// Reads the clock: what follows happens now.
    pub fn begin(&mut self) {
        self.now_ns = wall_ns();
    }

    /// Shows control what was copied.
    pub fn publish(&mut self) {
        self.ring.publish();
    }

    /// What was taken of the packets of each port.
    #[must_use]
    pub fn seen(&self) -> &[Seen; PORTS_MAX] {
        &self.seen
    }

    /// The packet that came in becomes a record. One that was handed over to us was recorded by who
    /// received it, unless it ends here.
    fn close(&mut self, note: Note) {
        let Some(Open { packet, handed }) = self.open.take() else { return };
        if handed && !matches!(note, Note::Dropped(_)) {
            return;
        }
        if self.filter.takes(&packet, Direction::In, note) {
            self.push(Direction::In, note);
        }
    }

    fn push(&mut self, direction: Direction, note: Note) {
        let image = match direction {
            Direction::In => &mut self.received,
            Direction::Out => &mut self.leaving,
        };
        let Image { port, len, here, .. } = *image;
        image.words[0] = self.now_ns;
        image.words[1] = Head { port, direction, note, len, here }.pack();
        let record = &image.words[..HEAD + words(here)];
        let seen = &mut self.seen[usize::from(port.0) % PORTS_MAX];
        seen.taken += 1;
        if !self.ring.push(record.iter().copied()) {
            seen.lost += 1;
        }
    }
}

/// What a worker looks through: a recorder, while there is one.
pub type Watched<'a> = Option<&'a mut Recorder>;

impl Tap for Watched<'_> {
    const RARE: bool = true;

    fn watched(&mut self) -> Watched<'_> {
        self.as_deref_mut()
    }

    fn received(&mut self, ctx: &Ctx<'_>, umem: &Umem, frame: &mut Frame, packet: &Packet) {
        let Some(recorder) = self else { return };
        let port = ctx.tables.vlan(ctx.port).map_or(ctx.port, |vlan| vlan.parent);
        recorder.received.copy((port, ctx.vlan), umem, frame, recorder.snaplen);
        recorder.open = Some(Open { packet: *packet, handed: ctx.share.handed });
    }

    fn became(&mut self, note: Note) {
        if let Some(recorder) = self {
            recorder.close(note);
        }
    }

    fn aside(&mut self, begins: bool) {
        let Some(recorder) = self else { return };
        if begins {
            recorder.set_aside = recorder.open.take();
        } else {
            recorder.open = recorder.set_aside.take();
        }
    }

    fn leaving(&mut self, port: PortId, umem: &Umem, frame: &mut Frame) {
        if let Some(recorder) = self {
            recorder.leaving.copy((port, 0), umem, frame, recorder.snaplen);
            recorder.facts =
                parse::parse(umem.view(frame).bytes(), usize::from(recorder.leaving.len));
        }
    }

    fn left(&mut self, outcome: Result<(), DropReason>) {
        let Some(recorder) = self else { return };
        let note = match outcome {
            Ok(()) => Note::None,
            // It is better shown as it came in.
            Err(reason) if recorder.open.is_some() => return recorder.close(Note::Dropped(reason)),
            Err(reason) => Note::Unsent(reason),
        };
        recorder.close(Note::None);
        if recorder.filter.takes(&recorder.facts, Direction::Out, note) {
            recorder.push(Direction::Out, note);
        }
    }
}
