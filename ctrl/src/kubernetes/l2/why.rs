use std::fmt;

use super::CLASS;

/// Why a service is not announced by us. As text: what comes after "is not announced: ".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// It is for another load balancer.
    Class(String),
    /// It has no address.
    NoAddress,
    /// There is no policy at all.
    NoPolicy,
    /// What keeps each policy from it; the one that comes closest first.
    Missed(Vec<Miss>),
}

/// Why a policy does not have a service announced by us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Miss {
    /// Its name.
    pub policy: String,
    /// What is in the way.
    pub reason: Reason,
}

/// What is in the way of a policy; the later, the closer it comes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// It makes no sense.
    Fault(String),
    /// Its `serviceSelector`, by what differs.
    Service(Vec<String>),
    /// It enables neither kind of address.
    NoKind,
    /// The service has no address of the one kind that it enables.
    NoneOfKind(&'static str),
    /// Its `nodeSelector`, by what differs.
    Node(Vec<String>),
    /// None of its interfaces is a port of ours.
    Interfaces(Vec<String>),
}

impl From<Vec<Miss>> for WhyNot {
    fn from(mut misses: Vec<Miss>) -> Self {
        if misses.is_empty() {
            return Self::NoPolicy;
        }
        misses.sort_by(|a, b| (&b.reason, &a.policy).cmp(&(&a.reason, &b.policy)));
        Self::Missed(misses)
    }
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => write!(f, "its loadBalancerClass is '{class}', not '{CLASS}'"),
            Self::NoAddress => write!(f, "it has no address"),
            Self::NoPolicy => write!(f, "there is no CiliumL2AnnouncementPolicy"),
            Self::Missed(misses) => {
                let [closest, others @ ..] = &misses[..] else { return Ok(()) };
                write!(f, "{closest}")?;
                match others.len() {
                    0 => Ok(()),
                    1 => write!(f, " (and another policy does not have it announced, either)"),
                    n => write!(f, " (and {n} other policies do not have it announced, either)"),
                }
            }
        }
    }
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, reason } = self;
        write!(f, "policy '{policy}' ")?;
        match reason {
            Reason::Fault(fault) => write!(f, "makes no sense: {fault}"),
            Reason::Service(obstacles) => {
                write!(f, "does not select the service: {}", obstacles.join(", "))
            }
            Reason::NoKind => write!(f, "enables neither loadBalancerIPs nor externalIPs"),
            Reason::NoneOfKind(kind) => {
                write!(f, "enables {kind} only, and the service has none of them")
            }
            Reason::Node(obstacles) => {
                write!(f, "does not select this node: {}", obstacles.join(", "))
            }
            Reason::Interfaces(interfaces) if interfaces.is_empty() => {
                write!(f, "finds no port here")
            }
            Reason::Interfaces(interfaces) => {
                write!(f, "names no port of this gateway: interfaces '{}'", interfaces.join("', '"))
            }
        }
    }
}
