//! The other workers: packets of their flows are handed over to them, and they are woken for it.

use std::sync::Arc;

use mio::Waker;

use super::nap::Nap;
use crate::addr::{Class, Classes};
use crate::fragment::Note;
use crate::tables::PortId;
use crate::xsk::handover::{self, Inlet, Notes, Outlet};
use crate::xsk::socket::Burst;
use crate::xsk::{Frame, Umem};

/// How a worker is told that there is something for it.
#[derive(Debug, Clone)]
pub struct Bell {
    nap: Arc<Nap>,
    waker: Arc<Waker>,
}

impl Bell {
    /// Rings at the worker that sleeps on `waker`.
    #[must_use]
    pub fn new(waker: Arc<Waker>) -> Self {
        Self { nap: Arc::default(), waker }
    }

    /// Wakes the worker if it sleeps.
    fn ring(&self) {
        if self.nap.is_on() {
            // It wakes by itself after a while; there is nothing else to be done about an error.
            drop(self.waker.wake());
        }
    }

    /// Wakes the worker in any case.
    ///
    /// # Errors
    /// What eventfd says.
    pub fn wake(&self) -> std::io::Result<()> {
        self.waker.wake()
    }
}

/// What another worker handed over in one go.
#[derive(Debug, Default)]
pub struct Handed {
    /// The port that it came in through; `None` when nothing was there.
    pub port: Option<PortId>,
    /// The packets.
    pub burst: Burst,
    /// What is known of each of them; empty when they speak for themselves.
    pub notes: Notes,
}

/// One worker's place among all of them.
#[derive(Debug)]
pub struct Peers {
    own: usize,
    classes: Classes,
    bells: Box<[Bell]>,
    /// By worker; nothing at its own place.
    outlets: Box<[Option<Outlet>]>,
    /// By worker, without its own place.
    inlets: Vec<Inlet>,
}

impl Peers {
    /// The places of all workers whose bells these are, with ways for `chunks` chunks between each
    /// two.
    ///
    /// # Panics
    /// When there are none, or more than 255.
    #[must_use]
    pub fn introduce(umem: &Umem, bells: &[Bell], chunks: usize) -> Vec<Self> {
        let count = bells.len();
        let classes = u8::try_from(count).ok().and_then(Classes::new).expect("1 to 255 workers");
        let mut all: Vec<Self> = (0..count)
            .map(|own| Self {
                own,
                classes,
                bells: bells.into(),
                outlets: (0..count).map(|_| None).collect(),
                inlets: Vec::new(),
            })
            .collect();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let (outlet, inlet) = handover::way(umem, chunks);
                all[from].outlets[to] = Some(outlet);
                all[to].inlets.push(inlet);
            }
        }
        all
    }

    /// How many workers there are.
    #[inline]
    #[must_use]
    pub const fn classes(&self) -> Classes {
        self.classes
    }

    /// The class of flows that are this worker's.
    #[inline]
    #[must_use]
    pub const fn own(&self) -> Class {
        Class::of_worker(self.own as u8)
    }

    /// Hands a packet that came in through `port` to the worker of `class`.
    ///
    /// # Errors
    /// The frame itself, when there is no room on the way.
    #[inline]
    pub fn hand_over(&mut self, class: Class, frame: Frame, port: PortId) -> Result<(), Frame> {
        match self.outlets.get_mut(class.worker()) {
            Some(Some(outlet)) => outlet.hand_over(frame, port.0),
            _ => Err(frame),
        }
    }

    /// As [`Self::hand_over`], for a fragment, with what is known of its ports.
    ///
    /// # Errors
    /// The frame itself, when there is no room on the way.
    pub fn hand_over_noted(
        &mut self,
        class: Class,
        frame: Frame,
        port: PortId,
        note: Note,
    ) -> Result<(), Frame> {
        match self.outlets.get_mut(class.worker()) {
            Some(Some(outlet)) => outlet.hand_over_noted(frame, port.0, note.to_bits()),
            _ => Err(frame),
        }
    }

    /// Shows the others what was handed over since the last call, and wakes those that sleep.
    #[inline]
    pub fn publish(&mut self) {
        for (worker, outlet) in self.outlets.iter_mut().enumerate() {
            if outlet.as_mut().is_some_and(Outlet::publish) {
                self.bells[worker].ring();
            }
        }
    }

    /// Chunks that came from another worker with packets, less those that went to it.
    #[inline]
    #[must_use]
    pub fn balance(&self, worker: usize) -> i64 {
        let inlet = self.inlets.get(worker - usize::from(worker > self.own));
        let outlet = self.outlets.get(worker).and_then(Option::as_ref);
        let (came, went) = (inlet.map_or(0, Inlet::taken), outlet.map_or(0, Outlet::handed_over));
        came.wrapping_sub(went) as i64
    }

    /// Wakes a worker to which frames were given back, if it sleeps.
    pub fn ring(&self, worker: usize) {
        self.bells[worker].ring();
    }

    /// How many others hand packets to this one.
    #[inline]
    #[must_use]
    pub fn inlets(&self) -> usize {
        self.inlets.len()
    }

    /// Asks for what the others have handed over, to be taken soon: it lies in their caches.
    #[inline]
    pub fn prefetch(&self) {
        self.inlets.iter().for_each(Inlet::prefetch);
    }

    /// Takes packets that another worker handed over, all from one port, which is returned; either all
    /// of them have a note or none. Their bytes lie in the cache of another core: they are asked for
    /// at once.
    #[inline]
    pub fn take(
        &mut self,
        inlet: usize,
        umem: &Umem,
        burst: &mut Burst,
        notes: &mut Notes,
    ) -> Option<PortId> {
        let port = self.inlets[inlet].take(burst, notes).map(PortId)?;
        burst.iter().for_each(|frame| umem.prefetch(frame));
        Some(port)
    }

    /// Chunks on their way to this worker.
    pub fn arriving(&mut self) -> usize {
        self.inlets.iter_mut().map(Inlet::chunks).sum()
    }

    /// Says that this worker is about to sleep. Returns whether nobody has handed anything over
    /// meanwhile, so that it may.
    pub fn lie_down(&mut self) -> bool {
        self.bells[self.own].nap.begin();
        self.inlets.iter_mut().all(Inlet::is_empty)
    }

    /// Says that this worker is awake.
    pub fn get_up(&self) {
        self.bells[self.own].nap.end();
    }
}
