use crate::{
    Fragment, Instance, NatBackend, PORTS_MAX, Port, QUEUES_MAX, RangePrefix, Source, Target,
    Verdict,
};

/// The kinds of map that the program uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One value per index.
    Array,
    /// One value per index and CPU.
    PerCpuArray,
    /// Exact match.
    Hash,
    /// Exact match, the least recently used entry makes room.
    LruHash,
    /// Longest prefix match.
    LpmTrie,
    /// AF_XDP sockets.
    XskMap,
}

/// A map as the object declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Map {
    /// Name in the object, and of the pin; the kernel keeps at most 15 bytes.
    pub name: &'static str,
    /// How it is looked up.
    pub kind: Kind,
    /// Bytes of a key; of a longest-prefix map with the prefix length in front.
    pub key: u32,
    /// Bytes of a value.
    pub value: u32,
    /// Entries at most.
    pub max: u32,
}

impl Map {
    /// Interface index to [`Port`].
    pub const PORTS: Self = map::<u32, Port>("ports", Kind::Hash, PORTS_MAX);
    /// Socket index ([`Port::base`] + receive queue) to AF_XDP socket.
    pub const SOCKETS: Self = map::<u32, u32>("sockets", Kind::XskMap, PORTS_MAX * QUEUES_MAX);
    /// Address to [`crate::AddressFlags`].
    pub const ADDRESSES: Self = map::<[u8; 16], u32>("addresses", Kind::Hash, 262_144);
    /// [`RangePrefix`] to anything: being there is what counts.
    pub const PORT_RANGES: Self = prefixes::<RangePrefix>("port_ranges", 65_536);
    /// [`Fragment`] to anything; written by the program.
    pub const FRAGMENTS: Self = map::<Fragment, u32>("fragments", Kind::LruHash, 16_384);
    /// [`Source`] prefix to policy number.
    pub const EGRESS_SOURCES: Self = prefixes::<Source>("egress_sources", 262_144);
    /// [`Target`] prefix to [`crate::Coverage`].
    pub const EGRESS_TARGETS: Self = prefixes::<Target>("egress_targets", 65_536);
    /// [`NatBackend`] to anything.
    pub const NAT_BACKENDS: Self = map::<NatBackend, u32>("nat_backends", Kind::Hash, 262_144);
    /// [`Verdict`] to a count, one per CPU; written by the program.
    pub const VERDICTS: Self =
        map::<u32, u64>("verdicts", Kind::PerCpuArray, Verdict::COUNT as u32);
    /// Index 0 to [`Instance`]; the program does not read it.
    pub const INSTANCE: Self = map::<u32, Instance>("instance", Kind::Array, 1);

    /// Every map of the object.
    pub const ALL: [Self; 10] = [
        Self::PORTS,
        Self::SOCKETS,
        Self::ADDRESSES,
        Self::PORT_RANGES,
        Self::FRAGMENTS,
        Self::EGRESS_SOURCES,
        Self::EGRESS_TARGETS,
        Self::NAT_BACKENDS,
        Self::VERDICTS,
        Self::INSTANCE,
    ];
}

const fn map<K, V>(name: &'static str, kind: Kind, max: u32) -> Map {
    assert!(name.len() <= 15, "the kernel cuts longer names");
    Map { name, kind, key: size_of::<K>() as u32, value: size_of::<V>() as u32, max }
}

const fn prefixes<K>(name: &'static str, max: u32) -> Map {
    let key = (size_of::<u32>() + size_of::<K>()) as u32;
    Map { key, ..map::<K, u32>(name, Kind::LpmTrie, max) }
}
