//! Bytes on the wire. Each header is a struct that lies on the bytes of a packet as they are:
//! big-endian fields, no padding, no copying. Nothing here knows tables.

/// Ethernet II.
pub mod eth;
/// ARP for IPv4 over Ethernet.
pub mod arp;
/// IPv4.
pub mod ipv4;
/// IPv6 and its extension headers.
pub mod ipv6;
/// TCP.
pub mod tcp;
/// UDP.
pub mod udp;
/// ICMP and ICMPv6.
pub mod icmp;
/// IPv6 neighbour discovery.
pub mod ndp;
/// The Internet checksum: whole, incremental, over chains.
pub mod checksum;
