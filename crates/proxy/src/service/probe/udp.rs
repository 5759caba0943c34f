//! A datagram, and one that comes back.

use super::{CheckFailure, Probe, Progress, Verdict};
use std::net::SocketAddr;

/// See `document::Probe::Udp`.
pub(super) struct Udp {
    send: String,
    expect: Option<String>,
}

impl Udp {
    pub fn new(send: String, expect: Option<String>) -> Self {
        Self { send, expect }
    }
}

impl Probe for Udp {
    fn request(&self, _address: SocketAddr) -> Vec<u8> {
        self.send.clone().into_bytes()
    }

    fn begin(&self) -> Option<Progress> {
        Some(Progress::new(Err(CheckFailure::TextMissing)))
    }

    fn receive(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict {
        let is_there = |text: &String| progress.search.finds(text.as_bytes(), bytes);
        if self.expect.as_ref().is_none_or(is_there) {
            progress.so_far = Ok(());
        }
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
    fn the_first_answer_decides() {
        for (expect, answer, outcome) in [
            (None, &b""[..], Ok(())),
            (Some("pong"), b"a pong!", Ok(())),
            (Some("pong"), b"ping", Err(CheckFailure::TextMissing)),
        ] {
            let probe = Udp::new("ping".into(), expect.map(String::from));
            let mut progress = probe.begin().unwrap();
            assert_eq!(probe.receive(&mut progress, &mut answer.to_vec()), Verdict::Done);
            assert_eq!(progress.so_far, outcome);
        }
    }
}
