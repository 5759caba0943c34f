//! A question to a name server.

use super::{CheckFailure, Probe, Progress, Verdict};
use evenly_core::dns;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;

/// See `document::Probe::Dns`.
pub(super) struct Dns {
    question: Vec<u8>,
    expected_rcode: Vec<u8>,
}

impl Dns {
    /// `name` was checked when the snapshot was built.
    pub fn new(name: &str, record: u16, expected_rcode: Vec<u8>) -> Self {
        let name = dns::encode(name).unwrap_or_else(|| vec![0]);
        // One for all checks of a pool: each has a port of its own.
        let [.., high, low] = RandomState::new().hash_one(record).to_be_bytes();
        Self { question: dns::question(u16::from_be_bytes([high, low]), &name, record), expected_rcode }
    }
}

impl Probe for Dns {
    fn request(&self, _address: SocketAddr) -> Vec<u8> {
        self.question.clone()
    }

    fn begin(&self) -> Option<Progress> {
        Some(Progress::new(Err(CheckFailure::TextMissing)))
    }

    fn receive(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict {
        let Some(code) = dns::response_code(&self.question, bytes) else { return Verdict::Continue };
        let is_expected = self.expected_rcode.contains(&code);
        progress.so_far = if is_expected { Ok(()) } else { Err(CheckFailure::Rcode(code)) };
        Verdict::Done
    }

    fn is_datagram(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_decides_and_foreign_answers_do_not_count() {
        let probe = Dns::new("example.com", 1, vec![0, 3]);
        let question = probe.request(SocketAddr::from(([127, 0, 0, 1], 53)));
        for (code, outcome) in [(0, Ok(())), (3, Ok(())), (5, Err(CheckFailure::Rcode(5)))] {
            let mut progress = probe.begin().unwrap();
            let mut answer = question.clone();
            assert_eq!(probe.receive(&mut progress, &mut answer), Verdict::Continue, "the question itself");
            (answer[2], answer[3]) = (0x81, code);
            assert_eq!(probe.receive(&mut progress, &mut answer), Verdict::Done);
            assert_eq!(progress.so_far, outcome);
        }
        assert_eq!(CheckFailure::Rcode(5).to_string(), "response: REFUSED");
    }
}
