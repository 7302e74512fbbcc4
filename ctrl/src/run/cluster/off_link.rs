use crate::desired::{Announce, Desired};
use crate::kubernetes::snapshot::{ClusterService, Complaint};
use crate::topology::Topology;

/// That an address is announced where nobody asks for it, since it lies in no subnet there.
pub(super) fn complaint(
    wish: &ClusterService,
    desired: &Desired,
    topology: &Topology,
) -> Option<Complaint> {
    let service = &wish.service;
    if service.announce == Announce::None {
        return None;
    }
    let ports = desired.announced_on(service);
    let mut vips = service.vips.iter().map(|vip| vip.value);
    let vip = vips.find(|vip| topology.is_on_link(*vip, &ports) == Some(false))?;
    Some(Complaint {
        kind: "Service",
        object: wish.object.clone(),
        uid: wish.uid.clone(),
        reason: "AddressOffLink",
        message: format!(
            "{vip} lies in no subnet of {}: hosts there do not ask for it, they send it to a router, which has to send it to this gateway",
            ports.join(", ")
        ),
    })
}
