//! Packets that make no flow.

use anyhow::Result;
use dataplane::addr::Family;

use super::packets::arp_request;
use super::random::Random;
use super::round::Feed;
use super::world::{PORT_MACS, Shape, World, vip};

/// The same few frames in turn.
pub struct Noise {
    frames: Vec<Vec<u8>>,
    next: usize,
}

impl Noise {
    /// A link that asks for a VIP of ours again and again.
    ///
    /// # Errors
    /// When the world cannot be made.
    pub fn arp(shape: &Shape) -> Result<(World, Self)> {
        let frames = vec![arp_request(vip(Family::V4, 0))?];
        Ok((World::new(shape)?, Self { frames, next: 0 }))
    }

    /// Frames for us that hold nothing but chance behind a valid EtherType.
    ///
    /// # Errors
    /// When the world cannot be made.
    pub fn garbage(shape: &Shape) -> Result<(World, Self)> {
        let mut random = Random::new(11);
        let frames = (0..4_096).map(|n| garbage(&mut random, n)).collect();
        Ok((World::new(shape)?, Self { frames, next: 0 }))
    }
}

fn garbage(random: &mut Random, n: u32) -> Vec<u8> {
    let len = 14 + random.below(1_487) as usize;
    let mut frame: Vec<u8> = (0..len).map(|_| random.below(256) as u8).collect();
    frame[..6].copy_from_slice(&PORT_MACS[0]);
    frame[6] &= 0xfe;
    let ethertype: u16 = if n.is_multiple_of(2) { 0x0800 } else { 0x86dd };
    frame[12..14].copy_from_slice(&ethertype.to_be_bytes());
    frame
}

impl Feed for Noise {
    fn inject(&mut self, world: &mut World) {
        self.next = (self.next + 1) % self.frames.len();
        world.inject(0, &self.frames[self.next]);
    }
}
