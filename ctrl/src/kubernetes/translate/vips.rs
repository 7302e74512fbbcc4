use std::net::IpAddr;

use super::Complaints;
use crate::kubernetes::api::service::{Ingress, Service};

/// Classes of load balancers that are ours besides none at all.
const CLASSES: [&str; 2] = ["io.cilium/l2-announcer", "io.cilium/bgp-control-plane"];
/// Which kinds of addresses are made for a service; not said: all.
const TYPES: &str = "service.cilium.io/type";

/// The addresses that clients use, each once, those of the load balancer first.
pub fn of(service: &Service, complaints: &mut Complaints<'_>) -> Vec<IpAddr> {
    let mut vips = Vec::new();
    let mut add =
        |text: &str, whose: &str, complaints: &mut Complaints<'_>| match text.parse::<IpAddr>() {
            Ok(addr) if vips.contains(&addr) => {}
            Ok(addr) => vips.push(addr),
            Err(_) => {
                complaints.add("AddressInvalid", format!("{whose} names \"{text}\", no address"));
            }
        };
    if balances(service) {
        for ingress in &service.status.load_balancer.ingress {
            if ingress.ip.is_empty() {
                continue;
            }
            if by_proxy(ingress) {
                let what = format!(
                    "{} is not served: its ipMode says that a proxy answers there",
                    ingress.ip
                );
                complaints.add("AddressOfProxy", what);
                continue;
            }
            add(&ingress.ip, "status.loadBalancer", complaints);
        }
    }
    for external in &service.spec.external_ips {
        add(external, "spec.externalIPs", complaints);
    }
    vips
}

/// Whether addresses of the load balancer are ours to serve.
fn balances(service: &Service) -> bool {
    let class = service.spec.load_balancer_class.as_deref();
    let ours = class.is_none_or(|class| CLASSES.contains(&class));
    let types = service.metadata.annotations.get(TYPES);
    let wanted =
        types.is_none_or(|types| types.split(',').any(|kind| kind.trim() == "LoadBalancer"));
    service.spec.kind == "LoadBalancer" && ours && wanted
}

/// Such an address belongs to a proxy before the nodes, which must see the packets.
fn by_proxy(ingress: &Ingress) -> bool {
    ingress.rest.get("ipMode").and_then(|mode| mode.as_str()) == Some("Proxy")
}
