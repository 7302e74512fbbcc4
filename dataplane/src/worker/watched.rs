use super::Worker;
use crate::capture::Watched;
use crate::pipeline::tx::Tx;
use crate::pipeline::{Ctx, Memory};
use crate::time::Tick;
use crate::xsk::Socket;

impl<S: Socket> Worker<S> {
    /// Lends the parts of the worker for work that may be looked at.
    #[cold]
    #[inline(never)]
    pub(super) fn watched<R>(
        &mut self,
        lane: usize,
        now: Tick,
        handed: bool,
        work: impl FnOnce(&mut Ctx<'_>, &mut Memory<'_>, &mut Tx<'_, S, Watched<'_>>) -> R,
    ) -> R {
        let mut recorder = self.capture.take();
        if let Some(recorder) = &mut recorder {
            recorder.begin();
        }
        let result = self.lend_as((lane, handed), now, recorder.as_deref_mut(), work);
        if let Some(recorder) = &mut recorder {
            recorder.publish();
        }
        self.capture = recorder;
        result
    }
}
