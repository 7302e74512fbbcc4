//! Objects as an API server keeps them: defaults, ages, generations; and an [`Ipam`] that is told
//! of each change and whose writes are made, until it has nothing more to say.

use std::collections::BTreeMap;

use portreeve::kubernetes::api::condition;
use portreeve::kubernetes::api::metadata::{Key, Metadata, Timestamp};
use portreeve::kubernetes::api::pool::IpPool;
use portreeve::kubernetes::api::service::{Service, ServiceStatus};
use portreeve::kubernetes::ipam::{Changes, Ipam, SATISFIED, Settings, Writes};
use serde_json::{Value, json};

/// Rounds of writes and news of them after which something swings.
const SETTLED: usize = 6;

/// Objects, and who gives out addresses.
pub struct Cluster {
    settings: Settings,
    pub pools: BTreeMap<String, IpPool>,
    pub services: BTreeMap<Key, Service>,
    pub ipam: Option<Ipam>,
    /// Milliseconds; ages are kept in whole seconds.
    clock: u64,
    objects_made: u64,
}

impl Cluster {
    pub fn new(settings: Settings) -> Self {
        let (pools, services) = (BTreeMap::new(), BTreeMap::new());
        let mut cluster = Self { settings, pools, services, ipam: None, clock: 0, objects_made: 0 };
        cluster.start();
        cluster
    }

    pub fn wait(&mut self, milliseconds: u64) {
        self.clock += milliseconds;
    }

    pub fn stop(&mut self) {
        self.ipam = None;
    }

    pub fn start(&mut self) {
        let pools = self.pools.values().cloned().collect();
        let services = self.services.values().cloned().collect();
        let (ipam, writes) = Ipam::start(self.settings, pools, services);
        self.ipam = Some(ipam);
        self.settle(writes);
    }

    pub fn apply_pool(&mut self, mut pool: IpPool) {
        let name = pool.metadata.name.clone();
        let held = self.pools.get(&name);
        let changed = held.is_none_or(|held| held.spec != pool.spec);
        self.keep_identity(&mut pool.metadata, held.map(|held| held.metadata.clone()).as_ref());
        let held = self.pools.get(&name);
        pool.metadata.generation =
            held.map_or(0, |held| held.metadata.generation) + i64::from(changed);
        pool.status = held.map(|held| held.status.clone()).unwrap_or_default();
        self.pools.insert(name, pool.clone());
        self.tell(Changes { pools: vec![pool], ..Changes::default() });
    }

    pub fn apply_service(&mut self, mut service: Service) {
        if service.metadata.namespace.is_empty() {
            service.metadata.namespace = "default".to_owned();
        }
        let key = service.metadata.key();
        let held = self.services.get(&key).map(|held| held.metadata.clone());
        self.keep_identity(&mut service.metadata, held.as_ref());
        set_defaults(&mut service);
        let status = self.services.get(&key).map(|held| held.status.clone());
        service.status = status.unwrap_or_default();
        if service.spec.kind != "LoadBalancer" {
            service.status.load_balancer.ingress.clear();
        }
        self.services.insert(key, service.clone());
        self.tell(Changes { services: vec![service], ..Changes::default() });
    }

    pub fn delete_pool(&mut self, name: &str) {
        self.pools.remove(name);
        self.tell(Changes { gone_pools: vec![name.to_owned()], ..Changes::default() });
    }

    pub fn delete_service(&mut self, key: &Key) {
        self.services.remove(key);
        self.tell(Changes { gone_services: vec![key.clone()], ..Changes::default() });
    }

    /// Somebody else writes a status.
    pub fn write_status(&mut self, key: &Key, status: ServiceStatus) {
        let service = self.services.get_mut(key).unwrap();
        service.status = status;
        default_mode(service);
        let service = service.clone();
        self.tell(Changes { services: vec![service], ..Changes::default() });
    }

    fn keep_identity(&mut self, metadata: &mut Metadata, held: Option<&Metadata>) {
        if let Some(held) = held {
            metadata.uid.clone_from(&held.uid);
            metadata.creation_timestamp = held.creation_timestamp.clone();
        } else {
            self.objects_made += 1;
            metadata.uid = format!("uid-{}", self.objects_made);
            let second = self.clock / 1000;
            metadata.creation_timestamp =
                Timestamp(format!("2026-11-22T10:{:02}:{:02}Z", second / 60, second % 60));
        }
    }

    pub fn tell(&mut self, changes: Changes) {
        let Some(ipam) = &mut self.ipam else { return };
        let writes = ipam.change(changes);
        self.settle(writes);
    }

    fn settle(&mut self, mut writes: Writes) {
        for _ in 0..SETTLED {
            if writes == Writes::default() {
                return;
            }
            let changes = self.write(writes);
            writes = self.ipam.as_mut().unwrap().change(changes);
        }
        panic!("no end of writes: {writes:?}");
    }

    /// Makes writes, and says what changed by them.
    fn write(&mut self, writes: Writes) -> Changes {
        let mut changes = Changes::default();
        for (key, write) in writes.services {
            let service = self.services.get_mut(&key).unwrap();
            assert_eq!(service.metadata.uid, write.uid);
            service.status.load_balancer.ingress = write.ingress;
            default_mode(service);
            match write.condition {
                Some(condition) => condition::set(&mut service.status.conditions, condition),
                None => service.status.conditions.retain(|held| held.kind != SATISFIED),
            }
            changes.services.push(service.clone());
        }
        for (name, conditions) in writes.pools {
            let pool = self.pools.get_mut(&name).unwrap();
            pool.status.conditions = conditions;
            changes.pools.push(pool.clone());
        }
        changes
    }

    /// What is seen of it, in the form of the records.
    pub fn seen(&self) -> Value {
        let services = self.services.iter().map(|(key, service)| {
            let status = &service.status;
            (
                key.to_string(),
                json!({
                    "ingress": list(&status.load_balancer.ingress),
                    "conditions": list(&status.conditions),
                }),
            )
        });
        let pools = self.pools.iter().map(|(name, pool)| {
            (
                name.clone(),
                json!({
                    "generation": pool.metadata.generation,
                    "conditions": list(&pool.status.conditions),
                }),
            )
        });
        json!({
            "operator": if self.ipam.is_some() { "running" } else { "stopped" },
            "services": services.collect::<serde_json::Map<_, _>>(),
            "pools": pools.collect::<serde_json::Map<_, _>>(),
            "kubectl_get_ippools": self.table(),
        })
    }

    /// What kubectl prints.
    fn table(&self) -> String {
        if self.pools.is_empty() {
            return "No resources found\n".to_owned();
        }
        let head = ["NAME", "DISABLED", "CONFLICTING", "IPS AVAILABLE", "AGE"].map(str::to_owned);
        let rows = self.pools.iter().map(|(name, pool)| {
            let columns = pool.columns();
            let disabled = columns.disabled.to_string();
            [name.clone(), disabled, columns.conflicting, columns.available, "<age>".to_owned()]
        });
        let lines: Vec<[String; 5]> = std::iter::once(head).chain(rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap() + 3;
        let widths = [width(0), width(1), width(2), width(3), 0];
        let padded = lines.iter().map(|line| {
            let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<String>() + "\n"
        });
        padded.collect()
    }
}

/// A list without entries is not there.
fn list<T: serde::Serialize>(entries: &[T]) -> Value {
    if entries.is_empty() { Value::Null } else { json!(entries) }
}

fn default_mode(service: &mut Service) {
    for ingress in &mut service.status.load_balancer.ingress {
        ingress.rest.entry("ipMode".to_owned()).or_insert_with(|| json!("VIP"));
    }
}

fn set_defaults(service: &mut Service) {
    let spec = &mut service.spec;
    if spec.kind.is_empty() {
        spec.kind = "ClusterIP".to_owned();
    }
    if spec.external_traffic_policy.is_empty() && spec.kind != "ClusterIP" {
        spec.external_traffic_policy = "Cluster".to_owned();
    }
    let policy = spec.ip_family_policy.get_or_insert_with(|| "SingleStack".to_owned());
    if spec.ip_families.is_empty() {
        let families: &[&str] = if policy == "SingleStack" { &["IPv4"] } else { &["IPv4", "IPv6"] };
        spec.ip_families = families.iter().map(|family| (*family).to_owned()).collect();
    }
}
