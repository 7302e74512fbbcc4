//! What we say of policies, written on them: conditions of our own by server-side apply, so that those
//! of others stay as they are.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kube::Client;
use kube::api::{Patch, PatchParams};
use kube::core::Request;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::api::condition::{Condition, stamped};
use super::api::l2_policy::{GROUP, KIND, VERSION};
use super::api::lease::MicroTime;

/// Who writes them, in the words of the API server. One name for all gateways: they say the same.
const MANAGER: &str = "portreeve";
/// How the types of our conditions begin.
const OURS: &str = "io.cilium/bad-";
/// An answer that takes longer is none.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two attempts.
const RETRY: Duration = Duration::from_secs(5);

/// Conditions of policies that are not as they should be, by name of the policy.
pub type Verdicts = BTreeMap<String, Vec<Condition>>;

/// Writes what is to be said until nobody says anything any more.
pub async fn write(client: Client, mut wanted: watch::Receiver<Verdicts>) {
    loop {
        let verdicts = wanted.borrow_and_update().clone();
        let mut whole = true;
        for (policy, conditions) in &verdicts {
            if let Err(why) = say(&client, policy, conditions).await {
                tracing::warn!(policy, "its conditions cannot be written: {why}");
                whole = false;
            }
        }
        let changed = tokio::select! {
            changed = wanted.changed() => changed,
            () = sleep(RETRY), if !whole => Ok(()),
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn say(client: &Client, policy: &str, conditions: &[Condition]) -> Result<(), String> {
    let path = format!("/apis/{GROUP}/{VERSION}/ciliuml2announcementpolicies");
    let params = PatchParams::apply(MANAGER).force();
    let now = MicroTime::from(SystemTime::now());
    let patch = Patch::Apply(applied(policy, conditions, &now));
    let request = Request::new(path).patch_subresource("status", policy, &params, &patch);
    let request = request.map_err(|error| error.to_string())?;
    let answer = timeout(PATIENCE, client.request::<Value>(request)).await;
    answer.map_err(|_| "no answer in time".to_owned())?.map_err(|error| error.to_string())?;
    Ok(())
}

/// The policy as far as it is ours.
fn applied(policy: &str, conditions: &[Condition], now: &MicroTime) -> Value {
    let ours = conditions.iter().filter(|condition| condition.kind.starts_with(OURS));
    json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": policy },
        "status": { "conditions": stamped(ours, now) },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kubernetes::api::condition::Truth;

    #[test]
    fn what_is_not_ours_is_not_written() {
        let condition = |kind: &str| Condition {
            kind: kind.to_owned(),
            status: Truth::True,
            observed_generation: 2,
            reason: "error".to_owned(),
            message: "m".to_owned(),
        };
        let conditions = [condition("example.org/x"), condition("io.cilium/bad-interface-regex")];
        let now = MicroTime("2026-11-30T21:00:00.000000Z".to_owned());
        let applied = applied("p", &conditions, &now);
        let said = applied["status"]["conditions"].as_array().unwrap();
        assert_eq!(said.len(), 1);
        assert_eq!(said[0]["type"], "io.cilium/bad-interface-regex");
        assert_eq!(said[0]["lastTransitionTime"], now.0.as_str());
    }
}
