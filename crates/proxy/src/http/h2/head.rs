//! What of a head's text says how long the body behind it is.

/// A head as it is written to a stream. It was rendered here, so it is well formed.
pub struct Head {
    /// Its bytes, the empty line included.
    pub length: usize,
    /// Whether a message's body follows it: not behind an interim response, which another head follows.
    pub is_final: bool,
    /// How much that is; `None`: it says so itself when it ends.
    pub body: Option<u64>,
    /// Whether it is a HEAD's.
    pub is_head: bool,
}

impl Head {
    /// The head that a response begins with. `is_head`: it answers a HEAD.
    pub fn of_response(text: &[u8], is_head: bool) -> Option<Self> {
        let status: u16 = std::str::from_utf8(text.get(9..12)?).ok()?.parse().ok()?;
        let fields = Fields::read(text)?;
        let is_bodiless = is_head || matches!(status, 204 | 304);
        Some(Self {
            length: fields.length,
            // 101 makes a tunnel of the stream.
            is_final: status >= 200 || status == 101,
            body: if is_bodiless { Some(0) } else { fields.content_length },
            is_head,
        })
    }

    /// The head that a request begins with.
    pub fn of_request(text: &[u8]) -> Option<Self> {
        let fields = Fields::read(text)?;
        let wants_tunnel = fields.has_upgrade || text.starts_with(b"CONNECT ");
        let body = match fields.content_length {
            // Whatever the head says: what is behind it is the tunnel.
            _ if wants_tunnel => None,
            None if fields.is_chunked => None,
            length => Some(length.unwrap_or(0)),
        };
        let is_head = text.starts_with(b"HEAD ");
        Some(Self { length: fields.length, is_final: true, body, is_head })
    }
}

/// The fields that matter.
#[derive(Default)]
struct Fields {
    length: usize,
    content_length: Option<u64>,
    is_chunked: bool,
    has_upgrade: bool,
}

impl Fields {
    fn read(text: &[u8]) -> Option<Self> {
        let mut fields = Self::default();
        let mut start = line_end(text, 0)?;
        loop {
            let end = line_end(text, start)?;
            let line = &text[start..end - 2];
            if line.is_empty() {
                return Some(Self { length: end, ..fields });
            }
            if let Some(value) = value(line, b"content-length:") {
                fields.content_length = std::str::from_utf8(value.trim_ascii()).ok()?.parse().ok();
            }
            fields.is_chunked |= value(line, b"transfer-encoding:").is_some();
            fields.has_upgrade |= value(line, b"upgrade:").is_some();
            start = end;
        }
    }
}

/// The value of a field, if the line is one of it. `name` is in lower case and has the colon behind it.
fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then_some(value)
}

/// Where the line that begins at `start` ends, its CRLF included.
fn line_end(text: &[u8], start: usize) -> Option<usize> {
    let line = text.get(start..)?;
    Some(start + line.iter().position(|byte| *byte == b'\n')? + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_says_how_long_its_body_is() {
        let text = b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-LENGTH: 12\r\n\r\nbody";
        let head = Head::of_response(text, false).unwrap();
        assert_eq!((head.length, head.is_final, head.body), (text.len() - 4, true, Some(12)));
        assert_eq!(Head::of_response(text, true).unwrap().body, Some(0), "an answer to HEAD");
        let interim = Head::of_response(b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n", false).unwrap();
        assert!(!interim.is_final);
        assert_eq!(Head::of_response(b"HTTP/1.1 304 Not Modified\r\n\r\n", false).unwrap().body, Some(0));
        assert!(Head::of_response(b"HTTP/1.1 200 OK\r\nContent-Length: 1", false).is_none());
    }

    #[test]
    fn a_request_says_whether_it_has_a_body() {
        let body = |fields: &str| {
            let text = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            Head::of_request(text.as_bytes()).unwrap().body
        };
        assert_eq!(body(""), Some(0));
        assert_eq!(body("Content-Length: 7\r\n"), Some(7));
        assert_eq!(body("transfer-encoding: chunked\r\n"), None);
        assert_eq!(body("Connection: Upgrade\r\nUpgrade: websocket\r\n"), None);
        assert_eq!(body("Connection: Upgrade\r\nContent-Length: 0\r\nUpgrade: websocket\r\n"), None);
        let connect = Head::of_request(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n").unwrap();
        assert!(connect.body.is_none());
        assert!(Head::of_request(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap().is_head);
    }
}
