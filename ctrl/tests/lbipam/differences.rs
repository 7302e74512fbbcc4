/// A step of a recorded scenario where we do on purpose what Cilium did not do.
pub struct Difference {
    pub scenario: &'static str,
    /// The steps that differ, from 0. All others must not.
    pub steps: &'static [usize],
    /// Part of the text that explains it in `docs/lb-ipam.md`.
    pub explained_as: &'static str,
}

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        scenario: "first-last-no-first-address-asked-for-with-sharing-key",
        steps: &[2, 3, 4],
        explained_as: "Never a crash",
    },
    Difference {
        scenario: "share-key-taken-away-then-deleted",
        steps: &[4],
        explained_as: "Never a crash",
    },
    Difference {
        scenario: "pool-disabled-in-use-restart",
        steps: &[3],
        explained_as: "A restart renumbers nothing",
    },
];
