//! Any set of backends gives a whole table, whatever their addresses and weights: no panic, no
//! endless fill, every slot with a backend that was asked for, shares in the order of weights.
#![no_main]

use libfuzzer_sys::fuzz_target;
use portreeve_dataplane::addr::{Addr, Proto};
use portreeve_dataplane::tables::BackendId;
use portreeve_dataplane::tables::flow_hash::{HashSeeds, flow_hash};
use portreeve_dataplane::tables::maglev::{Maglev, Member, MemberProto};

const SIZE: u32 = 1021;

fuzz_target!(|input: &[u8]| {
    let Some((seed, rest)) = input.split_first_chunk::<12>() else { return };
    let seeds = HashSeeds::from_bytes(*seed);
    let members: Vec<_> = rest.chunks_exact(21).zip(0..).map(member).collect();
    let expected: Vec<_> = members.iter().filter(|m| m.weight > 0).map(|m| m.id).collect();
    let Some(maglev) = Maglev::build(&seeds, SIZE, &members) else {
        assert!(expected.is_empty());
        return;
    };
    assert_eq!(maglev.slots().len(), SIZE as usize);
    assert_eq!(maglev.backends().len(), expected.len());
    let mut slots = vec![0_u32; expected.len()];
    maglev.slots().iter().for_each(|slot| slots[usize::from(*slot)] += 1);
    let weight = |index: usize| members[maglev.backends()[index].index()].weight;
    let heaviest = (0..slots.len()).max_by_key(|index| weight(*index)).map(|index| slots[index]);
    let lightest = (0..slots.len()).min_by_key(|index| weight(*index)).map(|index| slots[index]);
    assert!(heaviest.zip(lightest).is_some_and(|(most, least)| most + 2 >= least), "{slots:?}");
    for member in &members {
        let hash = flow_hash(&seeds, member.addr, member.port, member.weight, Proto::Tcp);
        assert!(expected.contains(&maglev.select(hash)));
    }
});

/// Sixteen bytes of address, two of port, one of protocol, two of weight.
fn member((bytes, index): (&[u8], u32)) -> Member {
    let [addr @ .., p0, p1, proto, w0, w1] = bytes else { unreachable!("chunks of 21 bytes") };
    let mut octets = [0; 16];
    octets.copy_from_slice(addr);
    let v4 = [octets[12], octets[13], octets[14], octets[15]];
    Member {
        id: BackendId::new(index, 0),
        addr: if proto & 4 == 0 { Addr::v4(v4) } else { Addr::v6(octets) },
        port: u16::from_be_bytes([*p0, *p1]),
        proto: [MemberProto::Tcp, MemberProto::Udp, MemberProto::Sctp, MemberProto::Any]
            [usize::from(proto & 3)],
        weight: u16::from_be_bytes([*w0, *w1]),
    }
}
