use std::time::Duration;

use kube::api::{GetParams, PostParams};
use kube::core::Request;
use kube::{Client, Error};
use serde::Serialize;
use tokio::time::timeout;

use crate::kubernetes::api::lease::{GROUP, KIND, Lease, VERSION};
use crate::kubernetes::election::{Action, Outcome};

/// Leases of one namespace at the API server.
#[derive(Clone)]
pub struct Requests {
    client: Client,
    request: Request,
}

/// A lease as it is sent.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent<'l> {
    api_version: String,
    kind: &'static str,
    #[serde(flatten)]
    lease: &'l Lease,
}

/// What became of a request, and why the API server would not have it.
#[derive(Debug)]
pub struct Answer {
    /// For the election.
    pub outcome: Outcome,
    /// With [`Outcome::Refused`].
    pub refused: Option<String>,
}

impl From<Outcome> for Answer {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, refused: None }
    }
}

impl Requests {
    /// For leases of this namespace.
    pub fn new(client: Client, namespace: &str) -> Self {
        let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/leases");
        Self { client, request: Request::new(path) }
    }

    /// Does what an election asks for; an answer that takes longer than `patience` is none.
    pub async fn run(&self, lease: &str, action: Action, patience: Duration) -> Answer {
        let (wants, request) = match &action {
            // The task does not bring it here.
            Action::Nothing => return Outcome::Unreachable.into(),
            Action::Read => (Wants::Read, self.request.get(lease, &GetParams::default())),
            Action::Create(lease) => {
                (Wants::Create, self.request.create(&PostParams::default(), body(lease)))
            }
            Action::Replace(with) => {
                let params = PostParams::default();
                (Wants::Replace, self.request.replace(lease, &params, body(with)))
            }
        };
        let request = match request {
            Ok(request) => request,
            Err(error) => return refused(error.to_string()),
        };
        match timeout(patience, self.client.request::<Lease>(request)).await {
            Ok(Ok(mut lease)) => {
                // The largest part of it, which whoever writes may leave out.
                lease.metadata.rest.remove("managedFields");
                match wants {
                    Wants::Read => Outcome::Read(Some(lease)).into(),
                    Wants::Create | Wants::Replace => Outcome::Written(lease).into(),
                }
            }
            Ok(Err(error)) => judge(wants, &error),
            Err(_) => Outcome::Unreachable.into(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Read,
    Create,
    Replace,
}

fn body(lease: &Lease) -> Vec<u8> {
    let sent = Sent { api_version: format!("{GROUP}/{VERSION}"), kind: KIND, lease };
    // Maps with text for keys: there is nothing that could fail. What is empty would be refused.
    serde_json::to_vec(&sent).unwrap_or_default()
}

/// What an error says of the lease.
fn judge(wants: Wants, error: &Error) -> Answer {
    let Error::Api(status) = error else { return Outcome::Unreachable.into() };
    match (status.code, wants) {
        (404, Wants::Read) => Outcome::Read(None).into(),
        (404, Wants::Replace) | (409, _) => Outcome::Conflict.into(),
        // It is not well, or has no time: later, perhaps.
        (408 | 429 | 500.., _) => Outcome::Unreachable.into(),
        _ => refused(status.message.clone()),
    }
}

fn refused(why: String) -> Answer {
    Answer { outcome: Outcome::Refused, refused: Some(why) }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn judged(wants: Wants, code: u16) -> Outcome {
        let status = Status { code, message: "no".to_owned(), ..Status::default() };
        judge(wants, &Error::Api(Box::new(status))).outcome
    }

    #[test]
    fn answers_say_whether_somebody_was_faster_whether_we_may_or_nothing_at_all() {
        assert_eq!(judged(Wants::Read, 404), Outcome::Read(None));
        for (wants, code) in [(Wants::Replace, 404), (Wants::Replace, 409), (Wants::Create, 409)] {
            assert_eq!(judged(wants, code), Outcome::Conflict, "{wants:?} {code}");
        }
        for code in [401, 403, 422] {
            assert_eq!(judged(Wants::Replace, code), Outcome::Refused, "{code}");
        }
        assert_eq!(judged(Wants::Create, 404), Outcome::Refused, "there is no such namespace");
        for code in [429, 500, 503, 504] {
            assert_eq!(judged(Wants::Replace, code), Outcome::Unreachable, "{code}");
        }
    }

    #[test]
    fn a_lease_is_sent_with_its_kind() {
        let sent: serde_json::Value = serde_json::from_slice(&body(&Lease::default())).unwrap();
        assert_eq!(sent["apiVersion"], "coordination.k8s.io/v1");
        assert_eq!(sent["kind"], "Lease");
        assert!(sent["spec"].is_object());
    }
}
