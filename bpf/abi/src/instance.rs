use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Value of `instance`: tells a later process whether what is pinned is for it. Zero until all
/// else is in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct Instance {
    /// [`crate::LAYOUT`] of the writer.
    pub layout: u32,
    /// The kernel's number of the attached program.
    pub program: u32,
    /// A hash of the object that it was loaded from; 0 while it is being replaced.
    pub object: u64,
    /// Inode number of the network namespace whose interfaces are steered.
    pub netns: u64,
}

const _: () = assert!(size_of::<Instance>() == 24);
