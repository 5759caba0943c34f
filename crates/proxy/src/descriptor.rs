//! Takes over descriptors that came as numbers, and has the runtime watch others. The only unsafe code of the project.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Owns a descriptor that Python received from a parent process, or from systemd, and has given up.
///
/// A number that is not an open descriptor is found out by the first call on it (EBADF). A number that something else
/// in the process owns would be closed twice; Python's side hands over each only once, and detached.
#[allow(unsafe_code, reason = "ownership of a number cannot be proven to the compiler")]
pub fn own(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: `OwnedFd` needs an open descriptor that nobody else owns; the caller hands over what it detached.
    (number >= 0).then(|| unsafe { OwnedFd::from_raw_fd(number) })
}

/// Has the runtime of this thread tell when `descriptor` can be read from; not when it can be written to, which the
/// kernel would report for each datagram that has left.
///
/// # Errors
/// The system watches no more descriptors.
#[allow(unsafe_code, reason = "that a descriptor stays open cannot be proven for every type that has one")]
pub fn watch(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor must stay open, and the same, as long as it is watched. An `OwnedFd` is open until it is
    // dropped and never another, and from here on only the `AsyncFd` can drop it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) };
    watched.map_err(io::Error::from)
}
