//! Socket options that xsk-rs does not know.

use std::io;
use std::mem::size_of;
use std::os::fd::RawFd;

/// `XDP_MAX_TX_SKB_BUDGET` of `linux/if_xdp.h`, Linux 6.17: packets sent by one `sendto`.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// Lets one `sendto` send up to `budget` packets instead of 32.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 6.17.
pub(super) fn set_tx_budget(fd: RawFd, budget: u32) -> io::Result<()> {
    let value: *const u32 = &budget;
    // SAFETY: `value` points to four readable bytes for the whole call, and the kernel copies
    // them; the descriptor is only passed on.
    let result = unsafe {
        libc::setsockopt(
            fd,
            libc::SOL_XDP,
            XDP_MAX_TX_SKB_BUDGET,
            value.cast(),
            size_of::<u32>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the socket was bound in zero-copy mode (`XDP_OPTIONS`).
pub(super) fn is_zero_copy(fd: RawFd) -> io::Result<bool> {
    const XDP_OPTIONS_ZEROCOPY: u32 = 1;
    let mut flags = 0_u32;
    let mut len = size_of::<u32>() as libc::socklen_t;
    let value: *mut u32 = &mut flags;
    // SAFETY: `value` and `len` are valid for writing for the whole call and `len` is the size
    // of what `value` points to.
    let result = unsafe {
        libc::getsockopt(fd, libc::SOL_XDP, libc::XDP_OPTIONS, value.cast(), &raw mut len)
    };
    if result == 0 {
        Ok(flags & XDP_OPTIONS_ZEROCOPY != 0)
    } else {
        Err(io::Error::last_os_error())
    }
}
