//! Message heads: the start line and the fields up to the empty line.
//!
//! `scan` looks at sixteen bytes at once, `lines` cuts field lines, `kind` names the fields that mean something to a
//! proxy, `facts` gathers what they say, and `request` and `response` draw the conclusions for their side.

mod authority;
mod connection;
mod facts;
mod fields;
mod kind;
mod lines;
mod request;
mod response;
mod scan;
mod target;

pub use connection::MAX_OPTIONS;
pub use fields::{Field, FieldName, MAX_FIELDS, Slots};
pub use kind::FieldKind;
pub use lines::{FieldLine, split_field};
pub use request::{MAX_EMPTY_LINES, MAX_METHOD_BYTES, RequestError, RequestHead, parse_request};
pub use response::{ResponseError, ResponseHead, parse_response};
pub use target::{Target, TargetForm};

/// What a head may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head: empty lines before it, start line, fields and the empty line after them.
    pub head_bytes: usize,
    /// Field lines; values above [`MAX_FIELDS`] count as that.
    pub fields: usize,
    /// Bytes of a request target; responses have none.
    pub target_bytes: usize,
}

impl HeadLimits {
    /// The part of `buf` that a head may take. No real limit is above 4 GiB; the cap keeps offsets in 32 bits.
    #[inline]
    fn window<'b>(&self, buf: &'b [u8]) -> &'b [u8] {
        buf.get(..self.capped_bytes()).unwrap_or(buf)
    }

    /// Whether a head that is still incomplete fills its window.
    fn is_reached(&self, head: &[u8]) -> bool {
        head.len() >= self.capped_bytes()
    }

    #[inline]
    fn capped_bytes(&self) -> usize {
        self.head_bytes.min(u32::MAX as usize)
    }
}

/// The protocol version of a message; all others are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// As it stands in a start line: `HTTP/1.0` or `HTTP/1.1`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// As many bytes, at most 2^63 - 1; may be 0.
    Length(u64),
    /// The chunked transfer coding says where it ends.
    Chunked,
    /// The end of the connection is the end of the body; responses only.
    UntilClose,
}

/// Why the fields of a head were refused; each side turns it into its own error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Malformed, or with two possible meanings; says what.
    Syntax(&'static str),
    /// More field lines than the limit.
    TooManyFields,
}

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2): method, field name, connection option.
#[inline]
pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN_BYTES[usize::from(byte)]
}

/// Whether `bytes` is a token, that is, not empty and made of token bytes.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// [`is_token_byte`] as a table, because it is asked for every byte of methods and unusual names.
static TOKEN_BYTES: [bool; 256] = alphanumeric_and(b"!#$%&'*+-.^_`|~");

/// A table of the letters and digits of ASCII, and of `others`.
const fn alphanumeric_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < others.len() {
        table[others[index] as usize] = true;
        index += 1;
    }
    table
}
