//! Puts the message together from TLS records, byte by byte if that is how they come.

use super::NotTls;
use super::ja4::ja4;
use super::parse::{Hello, parse};

/// Bytes of the stream in which the message must end, heads of records included. Messages have 200 to 600 bytes, and
/// about 2,000 with post-quantum key shares; 16 KiB is what one record may hold.
pub const MAX_BYTES: usize = 16 * 1024;

/// Type, version, length.
const RECORD_HEAD: usize = 5;
/// The record type of handshake messages (RFC 8446 §5.1).
const HANDSHAKE: u8 = 22;
/// The message type, and type and length in front of a message (§4).
const CLIENT_HELLO: u8 = 1;
const MESSAGE_HEAD: usize = 4;

/// Whether the message is known.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    More,
    /// What the client asks for.
    Hello(Hello),
}

/// Collects the message.
#[derive(Debug, Default)]
pub struct Reader {
    head: [u8; RECORD_HEAD],
    /// Bytes of `head` that have come.
    filled: usize,
    /// Bytes of the current record that have not.
    left: usize,
    message: Vec<u8>,
    seen: usize,
}

impl Reader {
    /// Takes the next bytes of the stream. Not to be called again once it has returned a hello or an error.
    ///
    /// # Errors
    /// What is no ClientHello, or is one beyond [`MAX_BYTES`].
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Progress, NotTls> {
        while !bytes.is_empty() {
            let taken = if self.left == 0 { self.take_head(bytes)? } else { self.take_message(bytes)? };
            bytes = &bytes[taken..];
            self.seen += taken;
            if let Some(length) = self.length()?
                && self.message.len() >= length
            {
                return parse(&self.message[MESSAGE_HEAD..length]).map(Progress::Hello);
            }
            if self.seen >= MAX_BYTES {
                return Err(NotTls("a ClientHello that does not end within 16 KiB"));
            }
        }
        Ok(Progress::More)
    }

    /// The fingerprint (JA4) of the message, once it is known.
    pub fn ja4(&self) -> Option<String> {
        let length = self.length().ok()??;
        ja4(self.message.get(MESSAGE_HEAD..length)?)
    }

    /// Some of a record's head.
    fn take_head(&mut self, bytes: &[u8]) -> Result<usize, NotTls> {
        let n = bytes.len().min(RECORD_HEAD - self.filled);
        self.head[self.filled..self.filled + n].copy_from_slice(&bytes[..n]);
        self.filled += n;
        if self.head[0] != HANDSHAKE {
            return Err(NotTls("not a TLS handshake"));
        }
        if self.filled >= 2 && self.head[1] != 3 {
            return Err(NotTls("a TLS version that does not exist"));
        }
        if self.filled == RECORD_HEAD {
            self.filled = 0;
            self.left = usize::from(u16::from_be_bytes([self.head[3], self.head[4]]));
            // Handshake records must not be empty (§5.1): a flood of them would never end.
            if self.left == 0 || self.left > MAX_BYTES {
                return Err(NotTls("a record of a length that it may not have"));
            }
        }
        Ok(n)
    }

    /// Some of a record's content.
    fn take_message(&mut self, bytes: &[u8]) -> Result<usize, NotTls> {
        let n = bytes.len().min(self.left);
        self.message.extend_from_slice(&bytes[..n]);
        self.left -= n;
        if self.message[0] != CLIENT_HELLO {
            return Err(NotTls("a handshake that does not begin with a ClientHello"));
        }
        Ok(n)
    }

    /// The message's length with its head, once that has come.
    fn length(&self) -> Result<Option<usize>, NotTls> {
        let Some([_, high, middle, low]) = self.message.first_chunk::<MESSAGE_HEAD>() else {
            return Ok(None);
        };
        let length = (usize::from(*high) << 16) | (usize::from(*middle) << 8) | usize::from(*low);
        if length > MAX_BYTES {
            return Err(NotTls("a ClientHello that does not end within 16 KiB"));
        }
        Ok(Some(length + MESSAGE_HEAD))
    }
}
