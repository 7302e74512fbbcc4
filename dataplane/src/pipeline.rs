//! The life of a packet. Each word on this screen is a file.

/// Bytes to facts.
pub mod parse;
/// Facts to whose it is.
pub mod classify;
/// Service and flow state to a plan for this packet: the only step that changes flow state.
pub mod stage;
/// The plan onto bytes.
pub mod rewrite;
/// Out, to wait for a next hop, or home to the pool.
pub mod tx;

/// What a packet is, as a value.
pub mod packet;
/// What shall happen to a packet, as a value.
pub mod plan;
/// What every step is handed.
pub mod context;
/// How often we speak up ourselves.
pub mod limiter;
/// Frames that wait for their next hop's MAC.
pub mod waiting;

pub use context::{Ctx, Memory};
pub use plan::Fate;

use crate::drop_reason::DropReason;
use crate::xsk::socket::Burst;
use crate::xsk::{Frame, Socket};
use tx::Tx;

/// One packet, from its bytes to what becomes of it.
///
/// # Errors
/// The reason why it ends here.
pub fn forward(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    frame: &mut Frame,
) -> Result<Fate, DropReason> {
    let packet = {
        let view = memory.umem.view(frame);
        parse::parse(view.bytes(), view.total_len())?
    };
    let subject = classify::classify(ctx.tables, ctx.port, &packet)?;
    let plan = stage::stage(ctx, &packet, subject)?;
    rewrite::rewrite(ctx, memory, frame, &packet, &plan)
}

/// The packets that were received in one go. Every frame leaves through `tx` or goes home.
pub fn run_burst<S: Socket>(
    ctx: &mut Ctx<'_>,
    memory: &mut Memory<'_>,
    burst: &mut Burst,
    tx: &mut Tx<'_, S>,
) {
    for mut frame in burst.drain(..) {
        let bytes = frame.total_len() as u64;
        let port = ctx.counters.port(ctx.port);
        port.rx_packets.add(1);
        port.rx_bytes.add(bytes);
        match forward(ctx, memory, &mut frame) {
            Ok(fate) => tx.settle(ctx, memory, frame, fate),
            Err(reason) => {
                ctx.counters.dropped(reason);
                memory.pool.give(frame);
            }
        }
    }
}
