//! A connection; perhaps a text to send, perhaps one that must come back.

use super::{CheckFailure, Probe, Progress, Verdict};
use std::net::SocketAddr;

/// See `document::Probe::Tcp`.
pub(super) struct Tcp {
    send: Option<String>,
    expect: Option<String>,
}

impl Tcp {
    pub fn new(send: Option<String>, expect: Option<String>) -> Self {
        Self { send, expect }
    }
}

impl Probe for Tcp {
    fn request(&self, _address: SocketAddr) -> Vec<u8> {
        self.send.as_deref().unwrap_or_default().as_bytes().to_vec()
    }

    fn begin(&self) -> Option<Progress> {
        self.expect.as_ref().map(|_| Progress::new(Err(CheckFailure::TextMissing)))
    }

    fn receive(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict {
        let text = self.expect.as_deref().unwrap_or_default();
        let looked_at = bytes.len().min(progress.left);
        progress.left -= looked_at;
        if progress.search.finds(text.as_bytes(), &bytes[..looked_at]) {
            progress.so_far = Ok(());
            return Verdict::Done;
        }
        if progress.left == 0 { Verdict::Done } else { Verdict::Continue }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::probe::MAX_ANSWER_BYTES;

    #[test]
    fn without_an_expectation_a_connection_is_enough() {
        let probe = Tcp::new(Some("PING\r\n".into()), None);
        assert!(probe.begin().is_none());
        assert_eq!(probe.request(SocketAddr::from(([127, 0, 0, 1], 1))), b"PING\r\n");
    }

    #[test]
    fn the_expected_text_may_come_in_pieces_but_must_come_early() {
        let probe = Tcp::new(None, Some("+PONG".into()));
        let mut progress = probe.begin().unwrap();
        assert_eq!(probe.receive(&mut progress, &mut b"hello +PO".to_owned()), Verdict::Continue);
        assert_eq!(progress.so_far, Err(CheckFailure::TextMissing));
        assert_eq!(probe.receive(&mut progress, &mut b"NG".to_owned()), Verdict::Done);
        assert_eq!(progress.so_far, Ok(()));

        let mut progress = probe.begin().unwrap();
        let mut late = vec![b' '; MAX_ANSWER_BYTES];
        late.extend_from_slice(b"+PONG");
        assert_eq!(probe.receive(&mut progress, &mut late), Verdict::Done);
        assert_eq!(progress.so_far, Err(CheckFailure::TextMissing));
    }
}
