use dataplane::time::BootTime;

use crate::kubernetes::api::lease::Lease;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing, until something is seen or it is time to look again.
    Nothing,
    /// Read the lease.
    Read,
    /// Make this lease; whoever is first has it.
    Create(Lease),
    /// Write this lease over the version that it names.
    Replace(Lease),
}

/// What to do, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// To be done now. [`super::Election::finish`] has to be told what became of it, also when no answer
    /// came in time: well before the lease ends, or there is no second attempt, and no holding on.
    pub action: Action,
    /// When to decide again even if nothing is seen.
    pub look: Option<BootTime>,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was written, and looks like this now.
    Written(Lease),
    /// It was read; `None`: there is none.
    Read(Option<Lease>),
    /// Somebody else has written, made or deleted it meanwhile.
    Conflict,
    /// No answer, or none that says anything of the lease: it may have been written.
    Unreachable,
    /// The server will not have it, such as for missing permissions.
    Refused,
}

impl Decision {
    pub(super) const fn now(action: Action) -> Self {
        Self { action, look: None }
    }

    pub(super) const fn wait(look: Option<BootTime>) -> Self {
        Self { action: Action::Nothing, look }
    }
}
