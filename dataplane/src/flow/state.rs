use crate::tables::Timeouts;
use crate::wire::tcp::Flags;

/// Where a connection stands, as seen from its middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// UDP: the backend has not answered yet. Counts as half-open, or a flood of datagrams from
    /// made-up sources would take every place.
    UdpUnreplied,
    /// UDP: both sides have spoken.
    Udp,
    /// TCP: the client's SYN was seen.
    SynSent,
    /// TCP: the backend's SYN-ACK was seen.
    SynReceived,
    /// TCP: the client's first ACK was seen.
    Established,
    /// TCP: the client sent FIN; the backend may go on sending.
    ClientClosed,
    /// TCP: the backend sent FIN; the client may go on sending.
    BackendClosed,
    /// TCP: FIN from both sides, or RST.
    Closed,
    /// TCP in mode `nat`: taken up in the middle, and the backend has not spoken since. Counts as
    /// half-open, or a flood of made-up segments would take every place.
    Resumed,
    /// TCP in mode `dsr-l2`, where backends answer past us: the client's SYN was seen.
    OneWaySyn,
    /// TCP in mode `dsr-l2`: the client goes on. Nobody but the client vouches for such a flow,
    /// so it counts as half-open: it is the first to give way, and loses little by it.
    OneWay,
}

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the backend.
    Forward,
    /// From the backend to the client.
    Reverse,
}

impl State {
    /// The state after a segment with `flags` went past.
    #[inline]
    #[must_use]
    pub const fn after(self, direction: Direction, flags: Flags) -> Self {
        match (self, direction) {
            (Self::UdpUnreplied, Direction::Reverse) => return Self::Udp,
            (Self::Udp | Self::UdpUnreplied, _) => return self,
            _ => {}
        }
        if flags.any(Flags::RST) {
            return Self::Closed;
        }
        if let Self::Resumed | Self::OneWaySyn | Self::OneWay = self {
            return self.after_half(direction, flags);
        }
        let opened = match (self, direction) {
            (Self::SynSent, Direction::Reverse) if flags.any(Flags::SYN) => Self::SynReceived,
            (Self::SynReceived, Direction::Forward) if flags.any(Flags::ACK) => Self::Established,
            (state, _) => state,
        };
        if !flags.any(Flags::FIN) {
            return opened;
        }
        match (opened, direction) {
            (Self::Established | Self::SynReceived, Direction::Forward) => Self::ClientClosed,
            (Self::Established | Self::SynReceived, Direction::Reverse) => Self::BackendClosed,
            (Self::BackendClosed, Direction::Forward)
            | (Self::ClientClosed, Direction::Reverse) => Self::Closed,
            (state, _) => state,
        }
    }

    /// The same where one side is all that was seen so far.
    #[cold]
    const fn after_half(self, direction: Direction, flags: Flags) -> Self {
        match (self, direction) {
            (Self::Resumed, Direction::Forward) => self,
            (_, Direction::Reverse) => Self::Established.after_fin(direction, flags),
            (_, Direction::Forward) if flags.any(Flags::FIN) => Self::Closed,
            (_, Direction::Forward) if flags.any(Flags::SYN) => self,
            (_, Direction::Forward) => Self::OneWay,
        }
    }

    const fn after_fin(self, direction: Direction, flags: Flags) -> Self {
        match direction {
            _ if !flags.any(Flags::FIN) => self,
            Direction::Forward => Self::ClientClosed,
            Direction::Reverse => Self::BackendClosed,
        }
    }

    /// Whether a SYN begins a new connection rather than being one more of this flow's.
    #[inline]
    #[must_use]
    pub const fn may_reopen(self) -> bool {
        matches!(self, Self::Closed | Self::Resumed | Self::OneWay)
    }

    /// Whether only one side has shown that it wants this flow.
    #[inline]
    #[must_use]
    pub const fn is_half_open(self) -> bool {
        matches!(
            self,
            Self::SynSent
                | Self::SynReceived
                | Self::UdpUnreplied
                | Self::Resumed
                | Self::OneWaySyn
                | Self::OneWay
        )
    }

    /// Whether both sides have shown that they want this flow, and it has not ended by RST.
    #[inline]
    #[must_use]
    pub const fn is_accepted(self) -> bool {
        !self.is_half_open() && !matches!(self, Self::Closed)
    }

    /// How long the flow is kept when silent, in milliseconds.
    #[inline]
    #[must_use]
    pub const fn timeout(self, timeouts: &Timeouts) -> u32 {
        match self {
            Self::UdpUnreplied | Self::Udp => timeouts.udp,
            Self::SynSent | Self::SynReceived | Self::OneWaySyn => timeouts.tcp_syn,
            Self::Established
            | Self::ClientClosed
            | Self::BackendClosed
            | Self::Resumed
            | Self::OneWay => timeouts.tcp_established,
            Self::Closed => timeouts.tcp_fin,
        }
    }

    /// The word for humans.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UdpUnreplied => "udp_unreplied",
            Self::Udp => "udp",
            Self::SynSent => "syn_sent",
            Self::SynReceived => "syn_received",
            Self::Established => "established",
            Self::ClientClosed => "client_closed",
            Self::BackendClosed => "backend_closed",
            Self::Closed => "closed",
            Self::Resumed => "resumed",
            Self::OneWaySyn => "one_way_syn",
            Self::OneWay => "one_way",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Forward, Reverse};

    fn walk(steps: &[(Direction, u8)]) -> State {
        steps.iter().fold(State::SynSent, |state, (direction, flags)| {
            state.after(*direction, Flags(*flags))
        })
    }

    const SYN_ACK: u8 = Flags::SYN | Flags::ACK;
    const FIN_ACK: u8 = Flags::FIN | Flags::ACK;

    #[test]
    fn three_packets_establish() {
        assert_eq!(walk(&[(Reverse, SYN_ACK)]), State::SynReceived);
        assert_eq!(walk(&[(Reverse, SYN_ACK), (Forward, Flags::ACK)]), State::Established);
    }

    #[test]
    fn a_client_alone_cannot_establish() {
        assert_eq!(walk(&[(Forward, Flags::ACK), (Forward, Flags::ACK)]), State::SynSent);
    }

    #[test]
    fn one_fin_leaves_the_other_direction_open() {
        let open = [(Reverse, SYN_ACK), (Forward, Flags::ACK)];
        assert_eq!(walk(&[&open[..], &[(Forward, FIN_ACK)]].concat()), State::ClientClosed);
        assert_eq!(walk(&[&open[..], &[(Reverse, FIN_ACK)]].concat()), State::BackendClosed);
        let both = [&open[..], &[(Reverse, FIN_ACK), (Forward, FIN_ACK)]].concat();
        assert_eq!(walk(&both), State::Closed);
    }

    #[test]
    fn a_repeated_fin_of_one_side_closes_nothing_more() {
        let twice = [(Reverse, SYN_ACK), (Forward, FIN_ACK), (Forward, FIN_ACK)];
        assert_eq!(walk(&twice), State::ClientClosed);
    }

    #[test]
    fn rst_closes_from_any_state() {
        assert_eq!(walk(&[(Reverse, Flags::RST | Flags::ACK)]), State::Closed);
    }

    #[test]
    fn a_resumed_flow_is_established_when_the_backend_speaks() {
        let resumed = State::Resumed.after(Forward, Flags(Flags::ACK));
        assert_eq!(resumed, State::Resumed);
        assert_eq!(resumed.after(Reverse, Flags(Flags::ACK)), State::Established);
        assert_eq!(resumed.after(Reverse, Flags(FIN_ACK)), State::BackendClosed);
        assert_eq!(resumed.after(Reverse, Flags(Flags::RST)), State::Closed);
    }

    #[test]
    fn a_client_alone_never_gets_a_flow_that_cannot_give_way() {
        let mut state = State::OneWaySyn;
        for (flags, next) in [
            (Flags::SYN, State::OneWaySyn),
            (Flags::ACK, State::OneWay),
            (Flags::ACK, State::OneWay),
            (FIN_ACK, State::Closed),
        ] {
            assert!(state.is_half_open() && !state.is_accepted());
            state = state.after(Forward, Flags(flags));
            assert_eq!(state, next);
        }
        assert!(!state.is_accepted());
    }

    #[test]
    fn udp_is_half_open_until_the_backend_answers() {
        let new = State::UdpUnreplied;
        assert_eq!(new.after(Forward, Flags::default()), new);
        assert!(new.is_half_open());
        assert_eq!(new.after(Reverse, Flags::default()), State::Udp);
        assert_eq!(State::Udp.after(Forward, Flags(0xff)), State::Udp);
    }
}
