//! gRPC's health checking protocol (grpc/grpc `doc/health-checking.md`): `grpc.health.v1.Health/Check`, one message each
//! way. `http2.rs` carries them.

use super::{CheckFailure, Progress, Verdict};
use crate::http::status_in;
use std::net::SocketAddr;

/// What comes before a message: whether it is compressed, and its length (gRPC's `PROTOCOL-HTTP2.md`).
const PREFIX_BYTES: usize = 5;

/// A longer answer than a status is none of this protocol.
const MOST_BYTES: usize = 64;

/// SERVING, of `HealthCheckResponse.ServingStatus`.
const SERVING: u8 = 1;

/// See `document::Probe::Grpc`.
pub(super) struct Grpc {
    /// Which of the endpoint's services; empty: all of it.
    service: String,
}

impl Grpc {
    pub fn new(service: String) -> Self {
        Self { service }
    }

    /// Head and body of the request.
    pub fn request(&self, address: SocketAddr) -> (Vec<u8>, Vec<u8>) {
        let head = format!(
            "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nHost: {address}\r\nUser-Agent: evenly-health-check\r\n\
             Content-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        // `string service = 1`: a tag, the length, the text. At most 127 bytes, so the length takes one.
        let name = self.service.as_bytes();
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let message = if name.is_empty() { Vec::new() } else { [&[0x0a, length], name].concat() };
        let length = u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes();
        (head.into_bytes(), [&[0][..], &length, &message].concat())
    }

    /// A head came; if it is all, it holds the status.
    pub fn head(&self, progress: &mut Progress, text: &[u8], is_end: bool) -> Verdict {
        let status = text.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let (_, fields) = text.split_at(text.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1));
        progress.so_far = match (status, status_in(fields)) {
            (Some(200), Some(0) | None) => Err(CheckFailure::Malformed("no message")),
            (_, Some(status)) => Err(CheckFailure::Grpc(status)),
            (Some(status), None) => Err(CheckFailure::Status(status)),
            (None, None) => Err(CheckFailure::Malformed("no status")),
        };
        let is_certain = !matches!(progress.so_far, Err(CheckFailure::Malformed(_)));
        if is_end || is_certain { Verdict::Done } else { Verdict::Continue }
    }

    /// A piece of the message came.
    pub fn data(
        &self,
        progress: &mut Progress,
        message: &mut Vec<u8>,
        bytes: &[u8],
        is_end: bool,
    ) -> Verdict {
        message.extend_from_slice(&bytes[..bytes.len().min(MOST_BYTES)]);
        if message.len() > MOST_BYTES {
            progress.so_far = Err(CheckFailure::Malformed("message too long"));
            return Verdict::Done;
        }
        if is_end {
            progress.so_far = Err(CheckFailure::Malformed("no grpc-status"));
        }
        if is_end { Verdict::Done } else { Verdict::Continue }
    }

    /// The end came, with the call's status.
    pub fn trailers(&self, progress: &mut Progress, message: &[u8], fields: &[u8]) -> Verdict {
        progress.so_far = match status_in(fields) {
            None => Err(CheckFailure::Malformed("no grpc-status")),
            Some(0) => match serving(message) {
                None => Err(CheckFailure::Malformed("no health status")),
                Some(SERVING) => Ok(()),
                Some(other) => Err(CheckFailure::Serving(other)),
            },
            Some(status) => Err(CheckFailure::Grpc(status)),
        };
        Verdict::Done
    }
}

/// `ServingStatus status = 1`: a tag and a number, which is left out if it is 0. Other fields there are none.
fn serving(message: &[u8]) -> Option<u8> {
    let (prefix, message) = message.split_at_checked(PREFIX_BYTES)?;
    match (prefix, message) {
        ([0, 0, 0, 0, 0], []) => Some(0),
        ([0, 0, 0, 0, 2], [0x08, status]) => Some(*status),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_message_of_one_field() {
        let (head, body) = Grpc::new("a.B".into()).request(SocketAddr::from(([10, 0, 0, 1], 50051)));
        assert!(String::from_utf8(head).unwrap().contains("\r\nHost: 10.0.0.1:50051\r\n"));
        assert_eq!(body, b"\0\0\0\0\x05\x0a\x03a.B");
        assert_eq!(Grpc::new(String::new()).request(SocketAddr::from(([10, 0, 0, 1], 1))).1, b"\0\0\0\0\0");
    }
}
