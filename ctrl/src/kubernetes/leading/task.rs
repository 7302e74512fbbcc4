use std::sync::Arc;
use std::time::Duration;

use dataplane::time::BootTime;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::board::{Board, Wish};
use super::order::Order;
use super::requests::{Answer, Requests};

/// Orders that are taken over before anything is decided.
const BATCH: usize = 1_024;

/// What became of a request.
struct Finished {
    lease: Arc<str>,
    id: u64,
    sent: BootTime,
    answer: Answer,
}

/// Runs all elections until the last handle is dropped.
pub async fn run(
    mut board: Board,
    requests: Requests,
    mut told: mpsc::UnboundedReceiver<Order>,
    changed: watch::Sender<u64>,
) {
    let mut running = JoinSet::new();
    let mut batch = Vec::new();
    loop {
        let now = BootTime::now();
        let (wishes, moved) = board.step(now);
        for wish in wishes {
            running.spawn(request(requests.clone(), wish, patience(&board)));
        }
        if moved {
            changed.send_modify(|changes| *changes += 1);
        }
        tokio::select! {
            count = told.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
                for order in batch.drain(..) {
                    board.take(BootTime::now(), order);
                }
            }
            Some(finished) = running.join_next() => {
                // A request neither panics nor is cancelled.
                let Ok(Finished { lease, id, sent, answer }) = finished else { return };
                board.finish(BootTime::now(), &lease, id, sent, answer);
            }
            () = until(board.next_look(now)) => {}
        }
    }
}

/// A request is given up early enough that there is time for a second one before the lease ends.
fn patience(board: &Board) -> Duration {
    board.timing().renew.min(board.timing().duration / 3) / 2
}

async fn request(requests: Requests, wish: Wish, patience: Duration) -> Finished {
    let Wish { lease, id, action } = wish;
    // Before it leaves: whoever watches the lease counts from when it is written.
    let sent = BootTime::now();
    let answer = requests.run(&lease, action, patience).await;
    Finished { lease, id, sent, answer }
}

/// Resolves at `time`; never when there is none.
async fn until(time: Option<BootTime>) {
    match time {
        Some(time) => tokio::time::sleep(time.since(BootTime::now())).await,
        None => std::future::pending().await,
    }
}
