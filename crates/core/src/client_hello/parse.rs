//! What stands in a ClientHello.

use super::NotTls;

/// Extension numbers (IANA, TLS ExtensionType).
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;

/// What routes can match.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hello {
    /// The name asked for, in lower case and without a dot at its end; `None` when the client sends none.
    pub server_name: Option<Box<str>>,
    /// The protocols offered, the preferred one first, as the list came: each behind a byte that is its length.
    alpn: Box<[u8]>,
}

impl Hello {
    /// The protocols offered, the preferred one first.
    pub fn protocols(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Cursor(&self.alpn);
        std::iter::from_fn(move || rest.short().ok())
    }
}

/// Reads the message behind its head. Lengths must fit into one another exactly; what the fields mean is the
/// endpoint's to judge.
pub(super) fn parse(message: &[u8]) -> Result<Hello, NotTls> {
    let mut hello = Hello::default();
    let mut message = Cursor(message);
    // Version and random.
    message.bytes(2 + 32)?;
    let session = message.short()?;
    let suites = message.long()?;
    let compressions = message.short()?;
    if session.len() > 32 || suites.is_empty() || suites.len() % 2 != 0 || compressions.is_empty() {
        return Err(NotTls("a ClientHello with fields of wrong lengths"));
    }
    // Before TLS 1.2 a client could do without extensions.
    if message.0.is_empty() {
        return Ok(hello);
    }
    let mut extensions = Cursor(message.long()?);
    if !message.0.is_empty() {
        return Err(NotTls("a ClientHello with bytes behind its end"));
    }
    let mut seen = (false, false);
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let content = Cursor(extensions.long()?);
        match kind {
            SERVER_NAME if seen.0 => return Err(NotTls("two server names")),
            SERVER_NAME => {
                seen.0 = true;
                hello.server_name = Some(server_name(content)?);
            }
            ALPN if seen.1 => return Err(NotTls("two lists of protocols")),
            ALPN => {
                seen.1 = true;
                hello.alpn = protocols(content)?;
            }
            _ => {}
        }
    }
    Ok(hello)
}

/// RFC 6066 §3: a list that in practice has one entry of type 0, a host name without a dot at its end.
fn server_name(mut content: Cursor<'_>) -> Result<Box<str>, NotTls> {
    let mut names = Cursor(content.long()?);
    let is_host = names.bytes(1)? == [0];
    let name = names.long()?;
    // 255 bytes are what DNS allows. Hosts are ASCII here: others come as A-labels.
    let is_name = (1..=255).contains(&name.len())
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    let text = std::str::from_utf8(name).map_err(|_| NotTls("a server name that is none"))?;
    if !is_host || !is_name || !names.0.is_empty() || !content.0.is_empty() {
        return Err(NotTls("a server name that is none"));
    }
    let mut name = text.strip_suffix('.').unwrap_or(text).to_owned();
    name.make_ascii_lowercase();
    Ok(name.into())
}

/// RFC 7301 §3.1: names of 1 to 255 bytes.
fn protocols(mut content: Cursor<'_>) -> Result<Box<[u8]>, NotTls> {
    let list = content.long()?;
    let mut rest = Cursor(list);
    while !rest.0.is_empty() {
        if rest.short()?.is_empty() {
            return Err(NotTls("a protocol without a name"));
        }
    }
    if list.is_empty() || !content.0.is_empty() {
        return Err(NotTls("a list of protocols of a wrong length"));
    }
    Ok(list.into())
}

/// What is still to be read.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn bytes(&mut self, n: usize) -> Result<&'a [u8], NotTls> {
        let (bytes, rest) =
            self.0.split_at_checked(n).ok_or(NotTls("a ClientHello that is cut off inside"))?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn number(&mut self) -> Result<u16, NotTls> {
        let bytes = self.bytes(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// Bytes behind a length of one byte.
    pub(super) fn short(&mut self) -> Result<&'a [u8], NotTls> {
        let n = usize::from(self.bytes(1)?[0]);
        self.bytes(n)
    }

    /// Bytes behind a length of two bytes.
    pub(super) fn long(&mut self) -> Result<&'a [u8], NotTls> {
        let n = usize::from(self.number()?);
        self.bytes(n)
    }
}
