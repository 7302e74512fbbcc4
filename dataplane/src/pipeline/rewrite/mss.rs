use super::super::packet::Ip;
use crate::wire::checksum::Delta;
use crate::wire::tcp;
use crate::xsk::View;

/// Option kinds (RFC 9293 section 3.1).
const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
/// Bytes of the MSS option, kind and length included.
const MSS_LEN: u8 = 4;

/// Lowers the MSS that a SYN or SYN-ACK announces to `most` bytes; one that announces none, or
/// less, stays as it is. Options that cannot be read are the receiver's business.
pub(super) fn clamp(view: &mut View<'_>, ip: &Ip, most: u16) {
    let Some(segment) = view.bytes_mut().get_mut(ip.l4()..) else { return };
    let Some(at) = announced(segment) else { return };
    let old = u16::from_be_bytes([segment[at], segment[at + 1]]);
    if old <= most {
        return;
    }
    let [high, low] = most.to_be_bytes();
    let mut delta = Delta::default();
    if at.is_multiple_of(2) {
        delta.word(old, most);
    } else {
        // The value lies across two words of the checksum, one byte in each.
        delta.word(old.swap_bytes(), most.swap_bytes());
    }
    (segment[at], segment[at + 1]) = (high, low);
    let sum = [segment[tcp::CHECKSUM], segment[tcp::CHECKSUM + 1]];
    let sum = delta.apply(u16::from_be_bytes(sum)).to_be_bytes();
    segment[tcp::CHECKSUM..tcp::CHECKSUM + 2].copy_from_slice(&sum);
}

/// Offset of the MSS value in a segment whose header `parse` has found to be of a sane length.
fn announced(segment: &[u8]) -> Option<usize> {
    let header = usize::from(segment.get(12)? >> 4) * 4;
    let options = segment.get(..header)?;
    let mut at = tcp::LEN;
    loop {
        match *options.get(at)? {
            END => return None,
            NOP => at += 1,
            kind => {
                let len = *options.get(at + 1)?;
                if kind == MSS && len == MSS_LEN && at + usize::from(MSS_LEN) <= options.len() {
                    return Some(at + 2);
                }
                // Shorter than its own head: nobody can say where the next one begins.
                if len < 2 {
                    return None;
                }
                at += usize::from(len);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(options: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; tcp::LEN];
        bytes.extend(options);
        bytes[12] = (bytes.len() as u8 / 4) << 4;
        bytes
    }

    #[test]
    fn finds_the_option_wherever_it_stands_and_nothing_that_is_none() {
        let cases: [(&[u8], Option<usize>); 6] = [
            (&[2, 4, 5, 180], Some(22)),
            (&[1, 1, 1, 2, 4, 5, 180, 0], Some(25)),
            (&[8, 4, 0, 0, 2, 4, 5, 180], Some(26)),
            (&[0, 0, 0, 0, 2, 4, 5, 180], None),
            (&[9, 0, 2, 4, 5, 180, 0, 0], None),
            (&[1, 1, 2, 4], None),
        ];
        for (options, at) in cases {
            assert_eq!(announced(&segment(options)), at, "{options:?}");
        }
    }
}
