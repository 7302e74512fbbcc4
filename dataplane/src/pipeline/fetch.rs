//! What the next steps will read is asked for ahead: a flow table of a million flows lies in main
//! memory, and a burst waits for all of its flows together instead of for one after the other.

use super::classify::{Subject, nat_end};
use super::packet::{Ip, Transport};
use super::{Hashes, Subjects};
use crate::flow::pair::PairKey;
use crate::flow::state::Direction;
use crate::flow::{FlowHash, FlowTable, ForwardKey, NatKey, ReverseKey};
use crate::tables::{FrontendId, SnatId};

/// Asks for the flows of a burst: first the buckets of all, then, as those come in, the entries.
#[inline]
pub fn burst(flows: &FlowTable, subjects: &Subjects<'_>, hashes: &mut Hashes) {
    for subject in subjects {
        let hash = subject.as_ref().map_or_else(|_| FlowHash::default(), |s| bucket(flows, s));
        hashes.push(hash);
    }
    for (subject, hash) in subjects.iter().zip(hashes.iter()) {
        match subject {
            Ok(Subject::Service(..)) => flows.prefetch_flow(Direction::Forward, *hash),
            Ok(Subject::Reply(..) | Subject::NatReply(..)) => {
                flows.prefetch_flow(Direction::Reverse, *hash)
            }
            _ => {}
        }
    }
}

/// The hash of a packet's flow, whose bucket is asked for.
#[inline(always)]
pub(super) fn bucket(flows: &FlowTable, subject: &Subject<'_>) -> FlowHash {
    match *subject {
        Subject::Service(ip, transport, id, _) => {
            flows.prefetch_forward(&forward_key(ip, transport, id))
        }
        Subject::Reply(ip, transport, id, _) => {
            flows.prefetch_reverse(&reverse_key(ip, transport, id))
        }
        Subject::NatReply(ip, transport, _) => flows.prefetch_nat(&nat_key(ip, transport)),
        _ => FlowHash::default(),
    }
}

/// How a client's packet names its flow.
#[inline]
pub(super) fn forward_key(ip: &Ip, transport: &Transport, frontend: FrontendId) -> ForwardKey {
    ForwardKey { frontend, client: ip.src, client_port: transport.src }
}

/// How the packet of a backend in mode `nat` names its flow.
#[inline]
pub(super) fn nat_key(ip: &Ip, transport: &Transport) -> NatKey {
    let backend = nat_end(ip, transport);
    NatKey { backend, client: ip.dst, client_port: transport.dst }
}

/// How a backend's packet names its flow.
#[inline]
pub(super) fn reverse_key(ip: &Ip, transport: &Transport, snat: SnatId) -> ReverseKey {
    let pair = PairKey { snat, addr: ip.src, port: transport.src, proto: transport.proto };
    ReverseKey { pair, snat_port: transport.dst }
}
