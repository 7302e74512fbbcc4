use super::permutation::Permutation;
use super::turns::Turns;

/// Gives every slot away, one to each backend in each round.
pub(super) fn in_rounds(size: u32, mut permutations: Vec<Permutation>) -> Box<[u16]> {
    let mut slots = free_slots(size);
    let mut left = size;
    loop {
        for (backend, permutation) in permutations.iter_mut().enumerate() {
            if left == 0 {
                return slots;
            }
            take_next(&mut slots, permutation, backend as u16);
            left -= 1;
        }
    }
}

/// Gives every slot away in turns that follow the weights (one for each permutation, none 0).
pub(super) fn by_weight(
    size: u32,
    mut permutations: Vec<Permutation>,
    weights: &[u16],
) -> Box<[u16]> {
    let mut slots = free_slots(size);
    let mut turns = Turns::new(size, weights);
    for _ in 0..size {
        let backend = turns.next_backend();
        take_next(&mut slots, &mut permutations[usize::from(backend)], backend);
    }
    slots
}

/// Marks a slot that nobody has; no backend has this index ([`super::MEMBERS_MAX`]).
const FREE: u16 = u16::MAX;

fn free_slots(size: u32) -> Box<[u16]> {
    vec![FREE; size as usize].into()
}

/// Gives the backend the first free slot of its permutation. There is one: callers take as many
/// slots as there are.
#[inline]
fn take_next(slots: &mut [u16], permutation: &mut Permutation, backend: u16) {
    loop {
        let slot = &mut slots[permutation.advance()];
        if *slot == FREE {
            *slot = backend;
            return;
        }
    }
}
