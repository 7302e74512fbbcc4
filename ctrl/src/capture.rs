//! Packets that workers copied, on their way to a file (docs/decisions/0016).

/// Which packets are wanted, in words.
pub mod words;
/// The file's format.
pub mod pcapng;
/// From the workers' rings to whoever reads.
pub mod stream;

/// Bytes copied of each packet unless somebody asks for more: headers, and the beginning of what they
/// carry.
pub const SNAPLEN: u16 = 256;

/// What somebody wants to see.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Request {
    /// Which packets, in the words of [`words`]; none: all.
    #[serde(default)]
    pub filter: String,
    /// End after so many packets.
    pub count: Option<u64>,
    /// End after so many seconds.
    pub seconds: Option<u64>,
    /// Bytes copied of each packet.
    #[serde(default = "snaplen")]
    pub snaplen: u16,
}

const fn snaplen() -> u16 {
    SNAPLEN
}

/// Why there is no capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// What was asked for makes no sense; says where and why.
    Wrong(String),
    /// There is one already.
    Busy,
    /// A worker does not listen, or there is no thread to be had.
    Failed(String),
}
