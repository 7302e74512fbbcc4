//! One task for each kind: lists its objects, watches them, lists them anew when that is broken off, and
//! tells the source of each. A list is told when it is whole, never in parts.

use std::sync::Arc;
use std::time::Duration;

use dataplane::time::BootTime;
use futures_util::{StreamExt as _, pin_mut};
use kube::api::{Api, DynamicObject, ListParams, WatchEvent, WatchParams};
use kube::{Client, Error};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::kinds::{Kind, Scope, Watched};
use super::pages::{self, ANSWER, Unlisted};
use super::store::{News, key};
use super::tally::Tally;

/// After the first failure; it doubles with each.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// At most so long, so that an API server that is back is found soon.
const LAST_RETRY: Duration = Duration::from_secs(2);
/// A kind that is not served may be some day.
const ABSENT_RETRY: Duration = Duration::from_secs(10);
/// Looks after which a kind that was there is gone.
const ABSENT_LOOKS: u32 = 3;
/// The API server ends a watch after so many seconds; it is begun again where it ended.
const WATCH: u32 = 120;
/// A watch that is longer silent than the API server would let it be has lost its connection.
const SILENT: Duration = Duration::from_secs(WATCH as u64 + 10);

/// How it stands with a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nothing was heard yet.
    Asked,
    /// All of its objects are known, and changes are told.
    Watched,
    /// The cluster does not have this kind.
    Absent,
    /// We may not look at it.
    Forbidden(String),
    /// The API server does not answer, or not as it should.
    Failed(String),
}

/// What a task tells.
#[derive(Debug)]
pub enum Told {
    /// What happened to objects.
    News(News),
    /// How it stands.
    Standing(Standing),
}

/// What is told, of which kind, and when it was heard.
pub type Message = (Watched, Told, BootTime);

/// Watches a kind until nobody listens any more.
pub async fn follow(
    client: Client,
    namespace: String,
    which: Watched,
    tell: mpsc::UnboundedSender<Message>,
    tally: Arc<Tally>,
) {
    let kind = which.kind();
    let mut task = Task { which, tell, tally, failures: 0, standing: Standing::Asked };
    let (mut absent, mut looks) = (0, 0);
    for version in kind.versions.iter().cycle() {
        let api = objects(&client, &kind, version, &namespace);
        match task.watch(&api).await {
            End::Deaf => return,
            End::Absent => absent += 1,
        }
        // The next version is tried at once, the first one after a while.
        if absent % kind.versions.len() != 0 {
            continue;
        }
        looks = if task.standing == Standing::Watched { 1 } else { looks + 1 };
        if task.absent(looks).is_err() {
            return;
        }
        tokio::time::sleep(ABSENT_RETRY).await;
    }
}

fn objects(client: &Client, kind: &Kind, version: &str, namespace: &str) -> Api<DynamicObject> {
    let resource = kind.resource(version);
    match kind.scope {
        Scope::All => Api::all_with(client.clone(), &resource),
        Scope::OurNamespace | Scope::One(_) => {
            Api::namespaced_with(client.clone(), namespace, &resource)
        }
    }
}

/// Why a watch ended.
enum End {
    /// Nobody listens.
    Deaf,
    /// There is no such kind, in this version.
    Absent,
}

/// Why a request came to nothing.
enum Failure {
    /// There is no such kind, in this version.
    Absent,
    /// The version is too old: only a list says what happened since.
    Expired,
    /// May do better next time.
    Other(Standing),
}

/// Nobody listens any more.
struct Deaf;

struct Task {
    which: Watched,
    tell: mpsc::UnboundedSender<Message>,
    tally: Arc<Tally>,
    /// Since the last success.
    failures: u32,
    /// As told last.
    standing: Standing,
}

impl Task {
    /// Lists and watches again and again.
    async fn watch(&mut self, api: &Api<DynamicObject>) -> End {
        let mut version: Option<String> = None;
        loop {
            let done = match version.clone() {
                None => self.list(api).await.map(|listed| version = listed),
                Some(from) => self.watch_from(api, from, &mut version).await,
            };
            let failure = match done {
                Ok(()) if self.tell.is_closed() => return End::Deaf,
                Ok(()) => continue,
                Err(failure) => failure,
            };
            match failure {
                Failure::Absent => return End::Absent,
                Failure::Expired => {
                    self.tally.failed(self.which);
                    version = None;
                }
                Failure::Other(standing) => {
                    self.tally.failed(self.which);
                    self.failures += 1;
                    let pause = self.pause(&standing);
                    if self.stands(standing).is_err() {
                        return End::Deaf;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// Tells all objects at once; returns the version of the list. `None` when nobody listens.
    async fn list(&mut self, api: &Api<DynamicObject>) -> Result<Option<String>, Failure> {
        let listed = pages::all(api, self.selected()).await;
        let (all, version) = listed.map_err(|why| match why {
            Unlisted::Silent => silent(),
            Unlisted::Refused(error) => self.failure(&error),
        })?;
        self.tally.answered();
        self.tally.listed(self.which);
        // Without a version the watch begins now; what is missed shows in the next list.
        let version = version.unwrap_or_default();
        let told = self.tell(Told::News(News::All(all, version.parse().ok())));
        let told = told.and_then(|()| self.stands(Standing::Watched));
        Ok(told.is_ok().then_some(version))
    }

    /// Tells what happens from version `from` on; `version` follows. Returns when the API server ends the
    /// watch, or nobody listens.
    async fn watch_from(
        &mut self,
        api: &Api<DynamicObject>,
        from: String,
        version: &mut Option<String>,
    ) -> Result<(), Failure> {
        let selected = self.selected().field_selector;
        let params = WatchParams {
            timeout: Some(WATCH),
            field_selector: selected,
            ..WatchParams::default()
        };
        let begun = timeout(ANSWER, api.watch(&params, &from)).await.map_err(|_| silent())?;
        let events = begun.map_err(|error| self.failure(&error))?;
        pin_mut!(events);
        self.tally.answered();
        if self.stands(Standing::Watched).is_err() {
            return Ok(());
        }
        let begun = Instant::now();
        while let Some(event) = timeout(SILENT, events.next()).await.map_err(|_| silent())? {
            self.tally.answered();
            let (news, of) = match event.map_err(|error| self.failure(&error))? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    let of = object.metadata.resource_version.clone();
                    (Some(News::Changed(Box::new(object))), of)
                }
                WatchEvent::Deleted(object) => {
                    let of = object.metadata.resource_version.clone();
                    let since = of.as_ref().and_then(|version| version.parse().ok());
                    (Some(News::Gone(key(&object), since)), of)
                }
                WatchEvent::Bookmark(mark) => (None, Some(mark.metadata.resource_version)),
                WatchEvent::Error(status) => return Err(self.failure(&Error::Api(status.boxed()))),
            };
            if of.is_some() {
                *version = of;
            }
            if news.is_some_and(|news| self.tell(Told::News(news)).is_err()) {
                return Ok(());
            }
        }
        // Whatever stands between us and the API server may end watches at once, again and again.
        tokio::time::sleep_until(begun + FIRST_RETRY).await;
        Ok(())
    }

    /// There is no such kind, and has not been at so many looks. What was there is believed to be gone when
    /// it stays so: an API server that starts may say that of everything that it was not made with.
    fn absent(&mut self, looks: u32) -> Result<(), Deaf> {
        if looks >= ABSENT_LOOKS {
            self.tell(Told::News(News::All(Vec::new(), None)))?;
        }
        self.stands(Standing::Absent)
    }

    fn selected(&self) -> ListParams {
        match self.which.kind().scope {
            Scope::One(name) => ListParams::default().fields(&format!("metadata.name={name}")),
            Scope::All | Scope::OurNamespace => ListParams::default(),
        }
    }

    fn failure(&self, error: &Error) -> Failure {
        match error {
            Error::Api(status) if status.code == 404 => Failure::Absent,
            Error::Api(status) if status.code == 410 => Failure::Expired,
            Error::Api(status) if status.code == 403 => {
                Failure::Other(Standing::Forbidden(self.which.kind().rule()))
            }
            error => Failure::Other(Standing::Failed(words(error))),
        }
    }

    fn pause(&self, standing: &Standing) -> Duration {
        if matches!(standing, Standing::Forbidden(_)) {
            return LAST_RETRY;
        }
        let doubled = FIRST_RETRY.saturating_mul(1 << self.failures.saturating_sub(1).min(8));
        doubled.min(LAST_RETRY)
    }

    /// Tells how it stands, when that is news.
    fn stands(&mut self, standing: Standing) -> Result<(), Deaf> {
        if standing == Standing::Watched {
            self.failures = 0;
        }
        if standing == self.standing {
            return Ok(());
        }
        self.standing = standing.clone();
        self.tell(Told::Standing(standing))
    }

    fn tell(&self, told: Told) -> Result<(), Deaf> {
        self.tell.send((self.which, told, BootTime::now())).map_err(|_| Deaf)
    }
}

fn silent() -> Failure {
    Failure::Other(Standing::Failed("no answer in time".to_owned()))
}

/// An error with all of its causes, each once.
fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !words.contains(&said) {
            words += &format!(": {said}");
        }
        cause = error.source();
    }
    words
}
