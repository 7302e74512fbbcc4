use std::time::{Duration, SystemTime};

use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::{Client, Error};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::kubernetes::api::condition::{Condition, stamped};
use crate::kubernetes::api::lease::MicroTime;
use crate::kubernetes::api::metadata::Key;
use crate::kubernetes::api::service::Ingress;
use crate::kubernetes::ipam::SATISFIED;
use crate::kubernetes::kinds::Watched;

/// Whose the fields are that we write.
const MANAGER: &str = "portreeve-ipam";
/// Shorter than a lease lasts: what we began to write as its holder must not arrive when another has it.
const ANSWER: Duration = Duration::from_secs(5);

/// The object that is written on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Target {
    /// A pool. Before all services, so that one sees why they have no address.
    Pool(Key),
    /// A service.
    Service(Key),
}

/// What is written, on its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    /// Of the object that it is for; empty where that is not known.
    pub uid: String,
    /// The whole list, for a service.
    pub ingress: Option<Vec<Ingress>>,
    /// All of ours.
    pub conditions: Vec<Condition>,
}

/// Why something was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no such object any more.
    Gone,
    /// Our role lacks this rule.
    Forbidden(String),
    /// In words.
    Other(String),
}

impl Target {
    /// Its kind among those that are watched.
    pub const fn watched(&self) -> Watched {
        match self {
            Self::Pool(_) => Watched::Pools,
            Self::Service(_) => Watched::Services,
        }
    }

    /// Where it is.
    pub const fn key(&self) -> &Key {
        let (Self::Pool(key) | Self::Service(key)) = self;
        key
    }

    /// Writes on it, once.
    pub async fn write(&self, client: &Client, write: &Write) -> Result<(), Failure> {
        let done = timeout(ANSWER, self.write_in_time(client, write)).await;
        done.unwrap_or_else(|_| Err(Failure::Other("no answer in time".to_owned())))
    }

    async fn write_in_time(&self, client: &Client, write: &Write) -> Result<(), Failure> {
        let mut last = Err(Failure::Gone);
        // The version that the cluster serves; a kind that it does not serve is as gone as an object.
        for version in self.watched().kind().versions {
            last = self.write_version(client, version, write).await;
            if !matches!(last, Err(Failure::Gone)) {
                break;
            }
        }
        last
    }

    async fn write_version(
        &self,
        client: &Client,
        version: &str,
        write: &Write,
    ) -> Result<(), Failure> {
        let resource = self.watched().kind().resource(version);
        let key = self.key();
        let api: Api<DynamicObject> = match self {
            Self::Pool(_) => Api::all_with(client.clone(), &resource),
            Self::Service(_) => Api::namespaced_with(client.clone(), &key.namespace, &resource),
        };
        let body = json!({
            "apiVersion": resource.api_version, "kind": resource.kind,
            "metadata": self.metadata(write), "status": status(write, &now()),
        });
        let params = PatchParams::apply(MANAGER).force();
        let failed = |error| self.failure(&error);
        api.patch_status(&key.name, &params, &Patch::Apply(body)).await.map_err(failed)?;
        if matches!(self, Self::Service(_)) && write.conditions.is_empty() {
            // What somebody else wrote under its name is not taken away by not being applied.
            let gone = json!({"status": {"conditions": [{"type": SATISFIED, "$patch": "delete"}]}});
            let params =
                PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            api.patch_status(&key.name, &params, &Patch::Strategic(gone)).await.map_err(failed)?;
        }
        Ok(())
    }

    fn metadata(&self, write: &Write) -> Value {
        let Key { namespace, name } = self.key();
        let texts = [("name", name), ("namespace", namespace), ("uid", &write.uid)];
        let texts = texts.into_iter().filter(|(_, text)| !text.is_empty());
        Value::Object(texts.map(|(field, text)| (field.to_owned(), json!(text))).collect())
    }

    fn failure(&self, error: &Error) -> Failure {
        match error {
            Error::Api(status) if status.code == 404 => Failure::Gone,
            Error::Api(status) if status.code == 403 => {
                let (group, plural) = (self.watched().kind().group, self.watched().kind().plural);
                Failure::Forbidden(format!(
                    "apiGroups: [\"{group}\"], resources: [\"{plural}/status\"], verbs: [\"patch\"]"
                ))
            }
            error => Failure::Other(error.to_string()),
        }
    }
}

/// Fields that are ours, and no others.
fn status(write: &Write, now: &str) -> Value {
    let conditions = stamped(&write.conditions, &now);
    match &write.ingress {
        Some(ingress) => json!({"loadBalancer": {"ingress": ingress}, "conditions": conditions}),
        None => json!({"conditions": conditions}),
    }
}

/// As it stands in conditions: whole seconds.
fn now() -> String {
    let MicroTime(text) = SystemTime::now().into();
    text.split('.').next().unwrap_or_default().to_owned() + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::condition::Truth;

    #[test]
    fn nothing_but_our_fields_is_written() {
        let key = Key { namespace: "default".into(), name: "svc1".into() };
        let condition = Condition {
            kind: SATISFIED.into(),
            status: Truth::True,
            observed_generation: 0,
            reason: "satisfied".into(),
            message: String::new(),
        };
        let ingress = vec![Ingress { ip: "10.10.200.1".into(), ..Ingress::default() }];
        let (uid, conditions) = ("u".to_owned(), vec![condition]);
        let write = Write { uid, ingress: Some(ingress), conditions };
        let want = json!({
            "loadBalancer": {"ingress": [{"ip": "10.10.200.1"}]},
            "conditions": [{"type": SATISFIED, "status": "True", "reason": "satisfied", "message": "",
                "lastTransitionTime": "2026-11-30T22:00:00Z"}],
        });
        assert_eq!(status(&write, "2026-11-30T22:00:00Z"), want);
        let metadata = Target::Service(key).metadata(&write);
        assert_eq!(metadata, json!({"namespace": "default", "name": "svc1", "uid": "u"}));
        assert_eq!(now().len(), "2026-11-30T22:00:00Z".len());
    }

    #[test]
    fn a_list_that_became_empty_is_written_as_such() {
        let write = Write { uid: String::new(), ingress: Some(vec![]), conditions: vec![] };
        let want = json!({"loadBalancer": {"ingress": []}, "conditions": []});
        assert_eq!(status(&write, ""), want);
    }
}
