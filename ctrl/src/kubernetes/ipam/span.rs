use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use super::count::Count;
use crate::kubernetes::api::pool::Block;

/// Addresses of one family, from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    first: IpAddr,
    last: IpAddr,
}

/// A block as it was written: its ends need not make sense together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The first address.
    pub first: IpAddr,
    /// The last address.
    pub last: IpAddr,
    /// It was written as a prefix.
    pub prefix: bool,
}

/// Why a block cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BlockError {
    /// `cidr` is no prefix.
    #[error("cidr '{0}' is no prefix: write an address, a slash and a length, as in 10.0.10.0/24")]
    Cidr(String),
    /// `start` or `stop` is no address.
    #[error("{field} '{text}' is no address")]
    Address {
        /// `start` or `stop`.
        field: &'static str,
        /// What was written.
        text: String,
    },
    /// Neither `cidr` nor `start`.
    #[error("a block has neither cidr nor start")]
    Empty,
    /// One end is IPv4, the other IPv6.
    #[error("start {0} and stop {1} are of two families")]
    Families(IpAddr, IpAddr),
    /// The last comes before the first.
    #[error("start {0} comes after stop {1}")]
    Order(IpAddr, IpAddr),
}

impl Ends {
    /// Reads a block.
    ///
    /// # Errors
    /// When a part of it cannot be read.
    pub fn parse(block: &Block) -> Result<Self, BlockError> {
        let filled = |field: &'_ Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(cidr) = filled(&block.cidr) {
            return parse_prefix(&cidr).ok_or(BlockError::Cidr(cidr));
        }
        let address = |field: &'static str, text: String| {
            text.parse().map_err(|_| BlockError::Address { field, text })
        };
        let first = address("start", filled(&block.start).ok_or(BlockError::Empty)?)?;
        let last = filled(&block.stop).map_or(Ok(first), |stop| address("stop", stop))?;
        Ok(Self { first, last, prefix: false })
    }

    /// The addresses between them.
    ///
    /// # Errors
    /// When there are none.
    pub fn span(&self) -> Result<Span, BlockError> {
        let Self { first, last, .. } = *self;
        if first.is_ipv4() != last.is_ipv4() {
            return Err(BlockError::Families(first, last));
        }
        if first > last {
            return Err(BlockError::Order(first, last));
        }
        Ok(Span { first, last })
    }

    /// Whether these are the ends of a span.
    #[must_use]
    pub fn are_of(&self, span: Span) -> bool {
        self.first == span.first && self.last == span.last
    }
}

/// Host bits are dropped.
fn parse_prefix(text: &str) -> Option<Ends> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u32) = (address.parse().ok()?, plain_number(length)?);
    let width: u32 = if address.is_ipv4() { 32 } else { 128 };
    let hosts = width.checked_sub(length)?;
    let mask = if hosts == 128 { u128::MAX } else { (1_u128 << hosts) - 1 };
    let number = to_number(address);
    let ends = [number & !mask, number | mask].map(|end| to_address(end, address.is_ipv4()));
    Some(Ends { first: ends[0], last: ends[1], prefix: true })
}

/// Digits alone, and no zero before others.
fn plain_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (text == "0" || !text.starts_with('0'))).then(|| text.parse().ok())?
}

/// An address as a number.
pub(super) fn to_number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// A number as an address. IPv4 takes the low 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "numbers of IPv4 come from IPv4 addresses")]
pub(super) fn to_address(number: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 { IpAddr::V4((number as u32).into()) } else { IpAddr::V6(number.into()) }
}

impl Span {
    /// The first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        self.first
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        self.last
    }

    /// Whether its addresses are IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.first.is_ipv4()
    }

    /// Whether an address is one of them. All of IPv4 comes before all of IPv6.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first <= address && address <= self.last
    }

    /// Whether they have an address in common.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// How many they are.
    #[must_use]
    pub fn size(&self) -> Count {
        Count::between(to_number(self.first), to_number(self.last))
    }

    /// Whether it has addresses besides its ends.
    #[must_use]
    pub fn has_inner(&self) -> bool {
        to_number(self.last) - to_number(self.first) > 1
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} - {}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Result<Ends, BlockError> {
        Ends::parse(&Block { cidr: Some(text.to_owned()), ..Block::default() })
    }

    fn range(start: &str, stop: &str) -> Result<Span, BlockError> {
        let block =
            Block { start: Some(start.to_owned()), stop: Some(stop.to_owned()), cidr: None };
        Ends::parse(&block)?.span()
    }

    #[test]
    fn a_prefix_is_all_of_its_addresses() {
        for (text, span, size) in [
            ("10.0.10.9/29", "10.0.10.8 - 10.0.10.15", "8"),
            ("10.0.10.9/32", "10.0.10.9 - 10.0.10.9", "1"),
            ("0.0.0.0/0", "0.0.0.0 - 255.255.255.255", "4294967296"),
            ("fd00::1/127", "fd00:: - fd00::1", "2"),
        ] {
            let ends = cidr(text).unwrap();
            let read = ends.span().unwrap();
            assert_eq!((read.to_string().as_str(), read.size().to_string().as_str()), (span, size));
            assert!(ends.prefix);
        }
        let all = cidr("::/0").unwrap().span().unwrap();
        assert_eq!(all.size().to_string(), "340282366920938463463374607431768211456");
    }

    #[test]
    fn what_is_no_prefix_says_so() {
        for text in ["10.0.10.0", "10.0.10.0/33", "10.0.10.0/", "10.0.10.0/08", "10.0.10/24", "x/8"]
        {
            assert_eq!(cidr(text), Err(BlockError::Cidr(text.to_owned())));
        }
    }

    #[test]
    fn ends_must_be_in_order_and_of_one_family() {
        assert_eq!(range("10.0.0.1", "").unwrap().to_string(), "10.0.0.1 - 10.0.0.1");
        assert!(matches!(range("10.0.0.2", "10.0.0.1"), Err(BlockError::Order(..))));
        assert!(matches!(range("10.0.0.2", "fd00::"), Err(BlockError::Families(..))));
        assert!(matches!(range("", "10.0.0.1"), Err(BlockError::Empty)));
        let error = range("10.0.0.1/32", "").unwrap_err();
        assert_eq!(error.to_string(), "start '10.0.0.1/32' is no address");
    }

    #[test]
    fn touching_is_not_overlapping() {
        let span = |first, last| range(first, last).unwrap();
        assert!(!span("10.0.0.0", "10.0.0.7").overlaps(&span("10.0.0.8", "10.0.0.9")));
        assert!(span("10.0.0.0", "10.0.0.8").overlaps(&span("10.0.0.8", "10.0.0.9")));
        assert!(!span("0.0.0.0", "255.255.255.255").overlaps(&span("::", "ffff::")));
    }
}
