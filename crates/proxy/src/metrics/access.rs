//! What admitting and compressing requests counts.

use super::counts::ListenerStats;
use super::exposition::{Exposition, Kind};
use evenly_core::compression::name;
use evenly_core::document::Algorithm;

/// Passwords verified and services asked, over all routes.
#[derive(Debug, Clone, Default)]
pub(super) struct AccessStats {
    pub passwords: [u64; Password::ALL.len()],
    pub services: [u64; Service::ALL.len()],
}

/// What came of credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Password {
    /// Verified, and right.
    Right,
    /// Verified, and wrong.
    Wrong,
    /// Not verified: a verdict was held.
    Known,
    /// Not verified: too many were waiting.
    Busy,
}

impl Password {
    const ALL: [(Self, &str); 4] =
        [(Self::Right, "right"), (Self::Wrong, "wrong"), (Self::Known, "known"), (Self::Busy, "busy")];
}

/// What came of asking a forward-auth service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// It let the request pass.
    Passed,
    /// It answered the client itself.
    Denied,
    /// It gave no answer.
    Failed,
}

impl Service {
    const ALL: [(Self, &str); 3] =
        [(Self::Passed, "passed"), (Self::Denied, "denied"), (Self::Failed, "failed")];
}

impl AccessStats {
    pub fn merge(&mut self, other: &Self) {
        self.passwords.iter_mut().zip(other.passwords).for_each(|(mine, theirs)| *mine += theirs);
        self.services.iter_mut().zip(other.services).for_each(|(mine, theirs)| *mine += theirs);
    }

    pub fn render(&self, to: &mut Exposition<'_>) {
        to.family(
            "evenly_passwords_total",
            Kind::Counter,
            "Requests with a name and a password, by what came of verifying it.",
        );
        for ((_, result), count) in Password::ALL.into_iter().zip(self.passwords) {
            to.sample(&[("result", result)], count);
        }
        to.family(
            "evenly_forward_auth_total",
            Kind::Counter,
            "Questions to forward-auth services, by what came of them.",
        );
        for ((_, result), count) in Service::ALL.into_iter().zip(self.services) {
            to.sample(&[("result", result)], count);
        }
    }
}

/// Responses of one listener that were compressed.
#[derive(Debug, Clone, Default)]
pub(super) struct CompressionStats {
    coded: [Coded; ALGORITHMS.len()],
    pub skipped: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Coded {
    responses: u64,
    bytes_in: u64,
    bytes_out: u64,
}

const ALGORITHMS: [Algorithm; 3] = [Algorithm::Gzip, Algorithm::Br, Algorithm::Zstd];

impl CompressionStats {
    pub fn count(&mut self, algorithm: Algorithm, (bytes_in, bytes_out): (u64, u64)) {
        let coded = &mut self.coded[algorithm as usize];
        coded.responses += 1;
        coded.bytes_in += bytes_in;
        coded.bytes_out += bytes_out;
    }

    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.coded.iter_mut().zip(other.coded) {
            mine.responses += theirs.responses;
            mine.bytes_in += theirs.bytes_in;
            mine.bytes_out += theirs.bytes_out;
        }
        self.skipped += other.skipped;
    }

    fn iter(&self) -> impl Iterator<Item = (&'static str, Coded)> + '_ {
        ALGORITHMS
            .into_iter()
            .zip(self.coded)
            .filter(|(_, coded)| coded.responses > 0)
            .map(|(own, coded)| (name(own), coded))
    }
}

/// Those of all listeners, by name.
pub(super) fn compression(to: &mut Exposition<'_>, all: &[(&str, &ListenerStats)]) {
    to.family("evenly_compressed_responses_total", Kind::Counter, "Responses compressed, by coding.");
    for (listener, stats) in all {
        for (coding, coded) in stats.compression.iter() {
            to.sample(&[("listener", listener), ("coding", coding)], coded.responses);
        }
    }
    to.family(
        "evenly_compression_bytes_total",
        Kind::Counter,
        "Bytes of bodies before (in) and after (out) compression, by coding.",
    );
    for (listener, stats) in all {
        for (coding, coded) in stats.compression.iter() {
            to.sample(&[("listener", listener), ("coding", coding), ("direction", "in")], coded.bytes_in);
            to.sample(&[("listener", listener), ("coding", coding), ("direction", "out")], coded.bytes_out);
        }
    }
    to.family(
        "evenly_compression_skipped_total",
        Kind::Counter,
        "Responses left as they were because a worker was compressing as many as it may.",
    );
    for (listener, stats) in all {
        to.sample(&[("listener", listener)], stats.compression.skipped);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_is_in_its_place() {
        for (index, (kind, _)) in Password::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        for (index, (kind, _)) in Service::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
        for (index, algorithm) in ALGORITHMS.into_iter().enumerate() {
            assert_eq!(algorithm as usize, index);
        }
    }
}
