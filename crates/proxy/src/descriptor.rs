//! Takes over descriptors that came as numbers. The only unsafe code of the project.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Owns a descriptor that Python received from a parent process, or from systemd, and has given up.
///
/// A number that is not an open descriptor is found out by the first call on it (EBADF). A number that something else
/// in the process owns would be closed twice; Python's side hands over each only once, and detached.
#[allow(unsafe_code, reason = "ownership of a number cannot be proven to the compiler")]
pub fn own(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: `OwnedFd` needs an open descriptor that nobody else owns; the caller hands over what it detached.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}
