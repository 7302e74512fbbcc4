//! Complaints about objects, written as Events on them, so that `kubectl describe` shows them. Each is written
//! when it comes up and counted while it stands, and never more often than every few minutes.

/// An Event, as it is written.
mod event;
/// What is written when.
mod pace;

use std::time::Duration;

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, Error};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::snapshot::Complaint;
use event::{Event, resource};
use pace::{Due, Pace};

/// An API server that does not answer within this time is asked again later.
const ANSWER: Duration = Duration::from_secs(10);
/// After a failure: Events are the least urgent of what we write.
const RETRY: Duration = Duration::from_secs(30);

/// Writes what is wrong until nobody tells it any more. `node` is where we are.
pub async fn write(client: Client, node: String, mut complaints: watch::Receiver<Vec<Complaint>>) {
    let mut pace = Pace::new(Instant::now());
    loop {
        pace.follow(&complaints.borrow_and_update());
        if let Some(due) = pace.next(Instant::now()) {
            let event = Event::new(&due.complaint, &node);
            match said(&client, &event, due.count).await {
                Ok(()) => pace.written(&due.complaint, Instant::now()),
                Err(why) => {
                    complain_once(&mut pace, &why, &due);
                    pace.rest(Instant::now() + RETRY);
                }
            }
            continue;
        }
        let wake = pace.wake();
        let timer = async {
            match wake {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = complaints.changed() => if told.is_err() { return },
            () = timer => {}
        }
    }
}

/// Says in the log, the first time, that Events cannot be written.
fn complain_once(pace: &mut Pace, why: &str, due: &Due) {
    if pace.begins_to_fail() {
        let Complaint { kind, object, .. } = &due.complaint;
        tracing::warn!("no Events are written, such as one on {kind} {object}: {why}");
    }
}

/// Writes an Event that is said for the `count`th time.
async fn said(client: &Client, event: &Event, count: u32) -> Result<(), String> {
    let done = timeout(ANSWER, say(client, event, count)).await;
    match done.map_err(|_| "no answer in time".to_owned())? {
        Err(Error::Api(status)) if status.code == 403 => Err(format!("our role needs: {RULE}")),
        // The namespace is being deleted, or the object is of a kind that takes none: nobody would read it.
        Err(Error::Api(status)) if matches!(status.code, 404 | 422) => {
            tracing::debug!("an Event is not taken: {}", status.message);
            Ok(())
        }
        done => done.map_err(|error| error.to_string()),
    }
}

const RULE: &str =
    "apiGroups: [\"events.k8s.io\"], resources: [\"events\"], verbs: [\"create\", \"patch\"]";

/// The API server forgets Events after an hour or so; ours may be from before we were started, too.
async fn say(client: &Client, event: &Event, count: u32) -> Result<(), Error> {
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &event.namespace, &resource());
    if count > 1 {
        match api.patch(&event.name, &PatchParams::default(), &again(event, count)).await {
            Err(Error::Api(status)) if status.code == 404 => {}
            done => return done.map(drop),
        }
    }
    let object: DynamicObject = serde_json::from_value(event.first()).map_err(Error::SerdeError)?;
    match api.create(&PostParams::default(), &object).await {
        Err(Error::Api(status)) if status.code == 409 => {
            let patch = again(event, count.max(2));
            api.patch(&event.name, &PatchParams::default(), &patch).await.map(drop)
        }
        done => done.map(drop),
    }
}

fn again(event: &Event, count: u32) -> Patch<serde_json::Value> {
    Patch::Merge(event.again(count))
}
