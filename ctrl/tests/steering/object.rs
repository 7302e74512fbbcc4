//! The object against what bpf/abi says of it.

use aya::EbpfLoader;
use aya::maps::{MapInfo, MapType};
use portreeve_bpf_abi::{Kind, Map, Verdict};

use super::has_root;

#[test]
fn the_maps_of_the_object_are_those_of_the_abi() {
    if !has_root("the_maps_of_the_object_are_those_of_the_abi") {
        return;
    }
    let mut object = EbpfLoader::new().btf(None).load(portreeve::steer::OBJECT).unwrap();
    let mut names: Vec<String> = object.maps().map(|(name, _)| name.to_owned()).collect();
    let mut wanted: Vec<&str> = Map::ALL.iter().map(|map| map.name).collect();
    names.sort();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
    for map in Map::ALL {
        let info = info(&mut object, map.name);
        let found =
            (info.map_type().unwrap(), info.key_size(), info.value_size(), info.max_entries());
        let kind = match map.kind {
            Kind::Array => MapType::Array,
            Kind::PerCpuArray => MapType::PerCpuArray,
            Kind::Hash => MapType::Hash,
            Kind::LruHash => MapType::LruHash,
            Kind::LpmTrie => MapType::LpmTrie,
            Kind::XskMap => MapType::XskMap,
        };
        assert_eq!(found, (kind, map.key, map.value, map.max), "{}", map.name);
    }
}

#[test]
fn counters_have_names_of_their_own() {
    let mut names: Vec<&str> = Verdict::ALL.iter().map(|verdict| verdict.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Verdict::COUNT);
}

fn info(object: &mut aya::Ebpf, name: &str) -> MapInfo {
    use aya::maps::Map as Loaded;
    let (Loaded::Array(data)
    | Loaded::PerCpuArray(data)
    | Loaded::HashMap(data)
    | Loaded::LruHashMap(data)
    | Loaded::LpmTrie(data)
    | Loaded::XskMap(data)) = object.map_mut(name).unwrap()
    else {
        panic!("{name} is of no kind that the abi has");
    };
    data.info().unwrap()
}
