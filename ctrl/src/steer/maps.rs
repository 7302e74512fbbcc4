use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use aya::maps::{
    Array, HashMap, LpmTrie, MapData, MapError, MapInfo, MapType, PerCpuArray, XskMap,
};
use portreeve_bpf_abi::{Instance, Kind, Map, Port, Verdict};
use zerocopy::transmute;

use super::error::{SteerError, io, map};
use super::mirror::Mirror;

/// The maps of the steering program, opened from their pins.
pub(super) struct Maps {
    pub(super) ports: HashMap<MapData, u32, [u8; size_of::<Port>()]>,
    pub(super) sockets: XskMap<MapData>,
    pub(super) addresses: Mirror<HashMap<MapData, [u8; 16], [u8; 4]>>,
    pub(super) ranges: Mirror<LpmTrie<MapData, [u8; 20], [u8; 4]>>,
    pub(super) nat_backends: Mirror<HashMap<MapData, [u8; 20], [u8; 4]>>,
    verdicts: PerCpuArray<MapData, u64>,
    instance: Array<MapData, [u8; size_of::<Instance>()]>,
}

impl Maps {
    /// Opens all maps pinned in `dir`, and reads what an earlier process left in them.
    pub(super) fn open(dir: &Path) -> Result<Self, SteerError> {
        let addresses = open(dir, &Map::ADDRESSES)?;
        let ranges = open(dir, &Map::PORT_RANGES)?;
        let nat_backends = open(dir, &Map::NAT_BACKENDS)?;
        Ok(Self {
            ports: open(dir, &Map::PORTS)?,
            sockets: open(dir, &Map::SOCKETS)?,
            addresses: Mirror::read(Map::ADDRESSES.name, addresses)?,
            ranges: Mirror::read(Map::PORT_RANGES.name, ranges)?,
            nat_backends: Mirror::read(Map::NAT_BACKENDS.name, nat_backends)?,
            verdicts: open(dir, &Map::VERDICTS)?,
            instance: open(dir, &Map::INSTANCE)?,
        })
    }

    /// Says for whom the maps are.
    pub(super) fn claim(&mut self, instance: Instance) -> Result<(), SteerError> {
        let bytes: [u8; size_of::<Instance>()] = transmute!(instance);
        self.instance.set(0, bytes, 0).map_err(map("write to", Map::INSTANCE.name))
    }

    /// Writes a port's entry.
    pub(super) fn set_port(&mut self, ifindex: u32, port: Port) -> Result<(), SteerError> {
        let bytes: [u8; size_of::<Port>()] = transmute!(port);
        self.ports.insert(ifindex, bytes, 0).map_err(map("write an entry to", Map::PORTS.name))
    }

    /// Removes the entries of all other ports.
    pub(super) fn retain_ports(&mut self, keep: impl Fn(u32) -> bool) -> Result<(), SteerError> {
        let keys: Result<Vec<u32>, MapError> = self.ports.keys().collect();
        for ifindex in keys.map_err(map("read", Map::PORTS.name))? {
            if !keep(ifindex) {
                let failed = map("remove an entry from", Map::PORTS.name);
                self.ports.remove(&ifindex).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Every counter of the program, summed over the CPUs.
    pub(super) fn verdicts(&self) -> Result<Vec<(&'static str, u64)>, SteerError> {
        let sum = |verdict: &Verdict| {
            let index = *verdict as u32;
            let values = self.verdicts.get(&index, 0).map_err(map("read", Map::VERDICTS.name))?;
            Ok((verdict.name(), values.iter().sum()))
        };
        Verdict::ALL.iter().map(sum).collect()
    }
}

/// What an earlier process wrote to `instance`, if everything that is pinned has today's layout.
pub(super) fn instance(dir: &Path) -> Result<Option<Instance>, SteerError> {
    for wanted in &Map::ALL {
        let path = dir.join(wanted.name);
        if !path.try_exists().map_err(io("inspect", &path))? {
            return Ok(None);
        }
        let info = MapInfo::from_pin(&path).map_err(map("inspect", wanted.name))?;
        let sizes = (info.key_size(), info.value_size(), info.max_entries());
        let kind = info.map_type().map_err(map("inspect", wanted.name))?;
        if kind != kernel_type(wanted.kind) || sizes != (wanted.key, wanted.value, wanted.max) {
            return Ok(None);
        }
    }
    let map_of: Array<MapData, [u8; size_of::<Instance>()]> = open(dir, &Map::INSTANCE)?;
    let bytes = map_of.get(&0, 0).map_err(map("read", Map::INSTANCE.name))?;
    let instance: Instance = transmute!(bytes);
    Ok((instance.layout == portreeve_bpf_abi::LAYOUT).then_some(instance))
}

/// Removes the pins of all maps.
pub(super) fn discard(dir: &Path) -> Result<(), SteerError> {
    for gone in &Map::ALL {
        let path = dir.join(gone.name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            other => other.map_err(io("remove", path))?,
        }
    }
    Ok(())
}

fn open<M>(dir: &Path, wanted: &Map) -> Result<M, SteerError>
where
    M: TryFrom<aya::maps::Map, Error = MapError>,
{
    MapData::from_pin(dir.join(wanted.name))
        .and_then(aya::maps::Map::from_map_data)
        .and_then(M::try_from)
        .map_err(map("open", wanted.name))
}

const fn kernel_type(kind: Kind) -> MapType {
    match kind {
        Kind::Array => MapType::Array,
        Kind::PerCpuArray => MapType::PerCpuArray,
        Kind::Hash => MapType::Hash,
        Kind::LruHash => MapType::LruHash,
        Kind::LpmTrie => MapType::LpmTrie,
        Kind::XskMap => MapType::XskMap,
    }
}
