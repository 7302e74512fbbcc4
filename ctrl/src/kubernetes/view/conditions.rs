use crate::kubernetes::api::condition::{self, Condition, Truth};
use crate::kubernetes::api::l2_policy::{
    self, BAD_INTERFACE_REGEX, BAD_NODE_SELECTOR, BAD_SERVICE_SELECTOR,
};
use crate::kubernetes::api::metadata::Metadata;
use crate::kubernetes::api::pool::{self, CONFLICT};
use crate::kubernetes::api::service::Service;
use crate::kubernetes::ipam::SATISFIED;
use crate::kubernetes::kinds::Store;
use crate::kubernetes::snapshot::{Allocator, Complaint};

/// What conditions say is wrong with services, pools and policies, whoever wrote them: who asks us reads
/// it here, too.
pub fn complaints(store: &Store, allocator: Allocator) -> Vec<Complaint> {
    let no_pools = allocator == Allocator::Us && store.pools.iter().next().is_none();
    let services = store.services.iter().filter_map(|(_, service)| {
        let why = not_given(service, no_pools)?;
        Some(complaint("Service", &service.metadata, "AddressNotGiven", why))
    });
    let pools = store.pools.iter().filter_map(|(_, pool)| {
        let said = found(&pool.status.conditions, CONFLICT, Truth::True)?;
        let why = format!("gives nothing to anybody new: {}", said.message);
        Some(complaint(pool::KIND, &pool.metadata, "PoolConflict", why))
    });
    let policies = store.l2_policies.iter().flat_map(|(_, policy)| {
        [BAD_NODE_SELECTOR, BAD_SERVICE_SELECTOR, BAD_INTERFACE_REGEX].iter().filter_map(|kind| {
            let said = found(&policy.status.conditions, kind, Truth::True)?;
            let why = format!("has nothing announced: {}", said.message);
            Some(complaint(l2_policy::KIND, &policy.metadata, "PolicyInvalid", why))
        })
    });
    services.chain(pools).chain(policies).collect()
}

/// Why a service has not got the addresses that it asks for; without any pool nobody says so on it.
fn not_given(service: &Service, no_pools: bool) -> Option<String> {
    let said = found(&service.status.conditions, SATISFIED, Truth::False);
    let said = said
        .map(|said| format!("has not got what it asks for ({}): {}", said.reason, said.message));
    let spec = &service.spec;
    let waits = spec.kind == "LoadBalancer"
        && spec.load_balancer_class.is_none()
        && spec.external_ips.is_empty()
        && service.status.load_balancer.ingress.is_empty();
    let none = || "has no address: there is no CiliumLoadBalancerIPPool".to_owned();
    said.or_else(|| (no_pools && waits).then(none))
}

fn found<'c>(conditions: &'c [Condition], kind: &str, status: Truth) -> Option<&'c Condition> {
    condition::find(conditions, kind).filter(|said| said.status == status)
}

fn complaint(
    kind: &'static str,
    metadata: &Metadata,
    reason: &'static str,
    message: String,
) -> Complaint {
    Complaint { kind, object: metadata.key(), uid: metadata.uid.clone(), reason, message }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(class: Option<&str>, ingress: &[&str]) -> Service {
        let ingress: Vec<_> = ingress.iter().map(|ip| json!({ "ip": ip })).collect();
        let service = json!({
            "metadata": { "name": "a", "namespace": "b" },
            "spec": { "type": "LoadBalancer", "loadBalancerClass": class },
            "status": { "loadBalancer": { "ingress": ingress } },
        });
        serde_json::from_value(service).unwrap()
    }

    #[test]
    fn without_a_pool_it_is_said_of_those_that_wait_for_us() {
        let waiting = service(None, &[]);
        assert!(
            not_given(&waiting, true).unwrap().contains("there is no CiliumLoadBalancerIPPool")
        );
        assert_eq!(not_given(&waiting, false), None, "somebody is about to give one");
        assert_eq!(not_given(&service(None, &["10.0.0.1"]), true), None, "it has one");
        assert_eq!(not_given(&service(Some("example.org/x"), &[]), true), None, "of another class");
    }
}
