use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Services and pools as the API server has told of them.
#[derive(Debug, Default)]
pub struct Shown {
    /// By `namespace/name`.
    pub services: BTreeMap<String, Value>,
    /// By name.
    pub pools: BTreeMap<String, Value>,
}

impl Shown {
    /// Takes over one event of a watch.
    pub fn take(&mut self, event: &Value) {
        let object = &event["object"];
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let is_service = object["kind"] == "Service";
        // The API server's own.
        if is_service && text("name") == "kubernetes" {
            return;
        }
        let (all, key) = if is_service {
            (&mut self.services, format!("{}/{}", text("namespace"), text("name")))
        } else {
            (&mut self.pools, text("name").to_owned())
        };
        if event["type"] == "DELETED" {
            all.remove(&key);
        } else {
            all.insert(key, object.clone());
        }
    }

    /// In the form of the records. `table` is what kubectl prints of pools.
    pub fn record(&self, running: bool, table: &str) -> Value {
        let service = |service: &Value| {
            let status = &service["status"];
            json!({
                "ingress": list(&status["loadBalancer"]["ingress"]),
                "conditions": timeless(&status["conditions"]),
            })
        };
        let pool = |pool: &Value| {
            let generation = &pool["metadata"]["generation"];
            json!({"generation": generation, "conditions": timeless(&pool["status"]["conditions"])})
        };
        let services = self.services.iter().map(|(key, value)| (key.clone(), service(value)));
        let pools = self.pools.iter().map(|(key, value)| (key.clone(), pool(value)));
        json!({
            "operator": if running { "running" } else { "stopped" },
            "services": services.collect::<Map<_, _>>(),
            "pools": pools.collect::<Map<_, _>>(),
            "kubectl_get_ippools": ageless(table),
        })
    }
}

/// A list without entries is not there.
fn list(entries: &Value) -> Value {
    if entries.as_array().is_none_or(Vec::is_empty) { Value::Null } else { entries.clone() }
}

/// Conditions without their times.
fn timeless(conditions: &Value) -> Value {
    let mut conditions = list(conditions);
    for condition in conditions.as_array_mut().into_iter().flatten() {
        if let Some(fields) = condition.as_object_mut() {
            fields.remove("lastTransitionTime");
        }
    }
    conditions
}

/// A table without the ages, which are its last column.
pub fn ageless(table: &str) -> String {
    if table.is_empty() {
        return "No resources found\n".to_owned();
    }
    let line = |line: &str| match line.trim_end().rsplit_once(' ') {
        Some((rest, age)) if age != "AGE" => format!("{rest} <age>\n"),
        _ => format!("{line}\n"),
    };
    table.lines().map(line).collect()
}
