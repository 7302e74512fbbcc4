//! Elections against the API server: one task runs all of them. Whoever wants to lead asks for a
//! `Candidacy`, says whether it is willing, and reads from it whether it leads.

/// All elections of this gateway.
mod board;
/// What the task is told.
mod order;
/// Leases at the API server.
mod requests;
/// The task.
mod task;
/// How long leases last.
mod timing;

use std::collections::BTreeMap;
use std::sync::Arc;

use dataplane::tables::Deadline;
use dataplane::time::BootTime;
use kube::api::DynamicObject;
use tokio::sync::{mpsc, watch};

use super::api::lease::Lease;
use super::election::{Election, OnApiLoss, Seat, Timing, heartbeat_lease};
use super::store::{self, News};
use order::{Entry, Field, Order};
pub use timing::timing;

/// Handle to the task. It ends with the last handle.
#[derive(Debug, Clone)]
pub struct Leases {
    tell: mpsc::UnboundedSender<Order>,
    seat: Arc<Seat>,
    on_api_loss: OnApiLoss,
    changes: watch::Receiver<u64>,
}

/// How an election stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Whether we lead. What must not go on a moment too long looks at the deadline besides.
    pub leads: bool,
    /// Who holds the lease, as far as is known; it may have run out.
    pub holder: Option<String>,
    /// Whether it is somebody else's, and has not run out.
    pub taken: bool,
    /// Why the API server will not have what we write.
    pub refused: Option<String>,
}

/// That we want to lead, or might. Who drops it gives up the lease.
#[derive(Debug)]
pub struct Candidacy {
    lease: Arc<str>,
    id: u64,
    deadline: Deadline,
    standing: watch::Receiver<Standing>,
    tell: mpsc::UnboundedSender<Order>,
    willing: Option<bool>,
}

impl Leases {
    /// Starts the task, on the current runtime, and with it the heartbeat of the gateway of node `me`.
    /// Nothing is written before it is told how long leases last ([`Self::retime`]).
    #[must_use]
    pub fn start(client: kube::Client, namespace: &str, me: &str, on_api_loss: OnApiLoss) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let (changed, changes) = watch::channel(0);
        let seat =
            Seat { namespace: namespace.to_owned(), lease: heartbeat_lease(me), me: me.to_owned() };
        let requests = requests::Requests::new(client, namespace);
        tokio::spawn(task::run(board::Board::new(me), requests, told, changed));
        let leases = Self { tell, seat: Arc::new(seat), on_api_loss, changes };
        leases.beat();
        leases
    }

    /// Our own heartbeat: nobody else wants it, and it ends with the task.
    fn beat(&self) {
        let mut heartbeat = self.enter(&self.seat.lease, Field::Alone, OnApiLoss::Release);
        heartbeat.willing(true);
        heartbeat.stay();
    }

    /// A candidacy for the lease of this name, of which nothing is known yet. Nothing is written before
    /// it is said whether we are willing. A second one for the same lease takes the place of the first.
    #[must_use]
    pub fn candidacy(&self, lease: &str) -> Candidacy {
        self.enter(lease, Field::Gateways, self.on_api_loss)
    }

    /// The same for what must end with the lease, whatever `on_api_loss` says of announcing.
    #[must_use]
    pub fn strict_candidacy(&self, lease: &str) -> Candidacy {
        self.enter(lease, Field::Gateways, OnApiLoss::Release)
    }

    fn enter(&self, lease: &str, field: Field, on_api_loss: OnApiLoss) -> Candidacy {
        let seat = Seat { lease: lease.to_owned(), ..(*self.seat).clone() };
        // With its own timing the task takes it in.
        let election = Election::new(seat, Timing::default(), on_api_loss);
        let deadline = election.deadline().clone();
        let (report, standing) = watch::channel(Standing::default());
        let (lease, id) = (Arc::<str>::from(lease), order::next_id());
        let entry = Entry { lease: Arc::clone(&lease), id, election, field, report };
        // A task that has ended leads nothing: the deadline stays where it is, long ago.
        let _ = self.tell.send(Order::Enter(Box::new(entry)));
        Candidacy { lease, id, deadline, standing, tell: self.tell.clone(), willing: None }
    }

    /// Takes over what a watch says of leases.
    pub fn see(&self, news: &News) {
        let order = match news {
            News::All(objects, version) => {
                let leases = objects.iter().filter_map(read);
                let all: BTreeMap<_, _> =
                    leases.map(|lease| (lease.metadata.name.clone(), lease)).collect();
                Order::All(all, *version)
            }
            News::Changed(object) => match read(object) {
                Some(lease) => Order::Changed(lease),
                None => return,
            },
            News::Gone(key, version) => Order::Gone(key.name.clone(), *version),
        };
        let _ = self.tell.send(order);
    }

    /// How long leases last from now on.
    pub fn retime(&self, timing: Timing) {
        let _ = self.tell.send(Order::Retime(timing));
    }

    /// Gives all leases up, the heartbeat too, and wants none again. What becomes of it is told as ever.
    pub fn give_up(&self) {
        let _ = self.tell.send(Order::Resign);
    }

    /// Resolves when some election stands otherwise than at the last call. Cancellation-safe.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Candidacy {
    /// Name of the lease.
    #[must_use]
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// Says whether we may lead. Who is not willing any more is silent first, then gives up the lease.
    pub fn willing(&mut self, willing: bool) {
        if self.willing.replace(willing) != Some(willing) {
            let _ = self.tell.send(Order::Will(Arc::clone(&self.lease), self.id, willing));
        }
    }

    /// Until when we lead: one cell as long as this lives, which is renewed with the lease.
    #[must_use]
    pub const fn deadline(&self) -> &Deadline {
        &self.deadline
    }

    /// Whether we lead now.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.deadline.get() > BootTime::now()
    }

    /// How the election stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Resolves when it stands otherwise than at the last call. Cancellation-safe.
    pub async fn changed(&mut self) {
        if self.standing.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// It is not given up with this value.
    fn stay(mut self) {
        let (closed, _) = mpsc::unbounded_channel();
        self.tell = closed;
    }
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        let _ = self.tell.send(Order::Withdraw(Arc::clone(&self.lease), self.id));
    }
}

/// The lease; one that cannot be read is left out, as it is in the store.
fn read(object: &DynamicObject) -> Option<Lease> {
    store::read(object.clone()).ok()
}
