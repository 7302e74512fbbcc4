//! Messages of generic netlink (`linux/genetlink.h`), and the controller's answer to "which
//! family is that". Attributes stay bytes: the two families that we talk to have few.

use std::io;

use anyhow::{Context, Result};
use rtnetlink::packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_HEADER_SIZE, NetlinkDeserializable, NetlinkHeader,
    NetlinkSerializable, NlasIterator, parse_string, parse_u16, parse_u32,
};

use super::request::Requests;

const HEADER_LEN: usize = 4;
const CONTROLLER: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

/// A message of any family.
#[derive(Clone, Debug)]
pub(super) struct Generic {
    /// The family's id, `nlmsg_type`.
    pub(super) family: u16,
    /// What is asked or told.
    pub(super) command: u8,
    /// Attributes of the family, as they lie in the message.
    pub(super) attributes: Vec<u8>,
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER_LEN + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let version = 1;
        let (header, attributes) = buffer.split_at_mut(HEADER_LEN);
        header.copy_from_slice(&[self.command, version, 0, 0]);
        attributes.copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Generic {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let (generic, attributes) = payload
            .split_at_checked(HEADER_LEN)
            .ok_or_else(|| DecodeError::buffer_too_small(payload.len(), HEADER_LEN))?;
        let family = header.message_type;
        Ok(Self { family, command: generic[0], attributes: attributes.to_vec() })
    }
}

/// A family as this kernel has it.
#[derive(Clone, Debug)]
pub(super) struct Family {
    /// Its id.
    pub(super) id: u16,
    /// Its multicast groups: name and number.
    groups: Vec<(String, u32)>,
}

impl Family {
    /// Asks the controller. Fails when the kernel lacks the family.
    pub(super) async fn resolve(requests: &Requests<Generic>, name: &str) -> Result<Self> {
        let question = Generic {
            family: CONTROLLER,
            command: CTRL_CMD_GETFAMILY,
            attributes: family_name(name),
        };
        let answer = requests
            .ask(question)
            .await
            .and_then(|answer| answer.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .with_context(|| format!("resolve generic netlink family {name}"))?;
        let id = attribute(&answer.attributes, CTRL_ATTR_FAMILY_ID).context("family without id")?;
        let groups = attribute(&answer.attributes, CTRL_ATTR_MCAST_GROUPS).unwrap_or_default();
        Ok(Self { id: parse_u16(id)?, groups: attributes(groups).filter_map(group).collect() })
    }

    /// The number of the multicast group `name`.
    pub(super) fn group(&self, name: &str) -> Option<u32> {
        self.groups.iter().find(|(group, _)| group == name).map(|(_, id)| *id)
    }
}

/// The value of the first attribute of this kind.
pub(super) fn attribute(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// The value of the first attribute of this kind, a number in host order.
pub(super) fn number(bytes: &[u8], kind: u16) -> Option<u32> {
    parse_u32(attribute(bytes, kind)?).ok()
}

/// Kind (flag bits removed) and value of each attribute.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(|attribute| {
        let attribute = attribute.ok()?;
        let (kind, end) = (attribute.kind(), usize::from(attribute.length()));
        Some((kind, attribute.into_inner().get(NLA_HEADER_SIZE..end)?))
    })
}

fn group((_, entry): (u16, &[u8])) -> Option<(String, u32)> {
    let name = parse_string(attribute(entry, CTRL_ATTR_MCAST_GRP_NAME)?).ok()?;
    Some((name, number(entry, CTRL_ATTR_MCAST_GRP_ID)?))
}

fn family_name(name: &str) -> Vec<u8> {
    let name = DefaultNla::new(CTRL_ATTR_FAMILY_NAME, [name.as_bytes(), &[0]].concat());
    let mut bytes = vec![0; name.buffer_len()];
    name.emit(&mut bytes);
    bytes
}
