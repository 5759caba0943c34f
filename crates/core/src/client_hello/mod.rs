//! The first message of a TLS client: which name it asks for and which protocols it offers, read without a key.
//!
//! [`Reader`] is fed the stream's first bytes in any pieces and says when it knows ([`Hello`]). It keeps at most
//! [`MAX_BYTES`], looks at each byte once, and refuses what no TLS client would send. Sources: RFC 8446 §4.1.2 and
//! §5.1 (records; a message may span several), RFC 6066 §3 (server name), RFC 7301 §3.1 (protocols), RFC 8701 (GREASE:
//! unknown values mean nothing), draft-ietf-tls-esni (with an
//! encrypted hello, the outer name counts, which is that of the server that clients may know of).

mod ja4;
mod parse;
mod records;

pub use parse::Hello;
pub use records::{MAX_BYTES, Progress, Reader};

/// Not a TLS client's first message, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotTls(pub &'static str);

impl std::fmt::Display for NotTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests;
