use std::str::FromStr;

use thiserror::Error;

use crate::kubernetes::api::service::Service;

/// Class of services that are announced by BGP.
const BGP_CLASS: &str = "io.cilium/bgp-control-plane";
/// Class of services that are announced on the link.
const L2_CLASS: &str = "io.cilium/l2-announcer";

/// What holds for the whole cluster; each has the meaning of Cilium's option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `enable-ipv4`
    pub ipv4: bool,
    /// `enable-ipv6`
    pub ipv6: bool,
    /// `enable-l2-announcements`: services of that class are ours.
    pub l2_announcements: bool,
    /// `enable-bgp-control-plane`: services of that class are ours.
    pub bgp_control_plane: bool,
    /// `default-lb-service-ipam`
    pub default_ipam: DefaultIpam,
}

/// Who gives addresses to services without a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultIpam {
    /// We do, from the pools.
    Pools,
    /// Others do: those of the nodes.
    Nodes,
    /// Nobody.
    Nobody,
}

/// Not a value of `default-lb-service-ipam`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("default-lb-service-ipam is '{0}', not one of lbipam, nodeipam, none")]
pub struct UnknownIpam(String);

impl FromStr for DefaultIpam {
    type Err = UnknownIpam;

    fn from_str(text: &str) -> Result<Self, UnknownIpam> {
        match text {
            "lbipam" => Ok(Self::Pools),
            "nodeipam" => Ok(Self::Nodes),
            "none" => Ok(Self::Nobody),
            _ => Err(UnknownIpam(text.to_owned())),
        }
    }
}

impl Default for Settings {
    /// Cilium's defaults, with the announcing that we do ourselves.
    fn default() -> Self {
        Self {
            ipv4: true,
            ipv6: false,
            l2_announcements: true,
            bgp_control_plane: false,
            default_ipam: DefaultIpam::Pools,
        }
    }
}

impl Settings {
    /// Whether we are the one who gives addresses to a service; all others are not touched.
    #[must_use]
    pub fn are_responsible_for(&self, service: &Service) -> bool {
        if service.spec.kind != "LoadBalancer" {
            return false;
        }
        match service.spec.load_balancer_class.as_deref() {
            None => self.default_ipam == DefaultIpam::Pools,
            Some(BGP_CLASS) => self.bgp_control_plane,
            Some(L2_CLASS) => self.l2_announcements,
            Some(_) => false,
        }
    }
}
