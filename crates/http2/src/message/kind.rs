//! Fields that mean something here, and the bytes that fields may have (RFC 9113 §8.2).

/// What a field is, by its name. It is found once for an entry of the dynamic table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:protocol` (RFC 8441 §4)
    Protocol,
    /// `:status`
    Status,
    /// `host`
    Host,
    /// `content-length`
    ContentLength,
    /// `cookie`, which comes in crumbs (RFC 9113 §8.2.3)
    Cookie,
    /// `te`, of which only `trailers` may be sent
    Te,
    /// `sec-websocket-key` and `sec-websocket-accept`, which extended CONNECT does without (RFC 8441 §5)
    WebSocket,
    /// A field for one connection, which HTTP/2 does not have (RFC 9113 §8.2.2)
    Connection,
    /// A name that no field may have.
    Invalid,
    /// Any other.
    Other,
}

impl Kind {
    /// The kind of a field, by its name as it is on the wire, where names are in lower case.
    pub const fn of(name: &[u8]) -> Self {
        match Self::known(name) {
            Self::Other if !is_name(name) => Self::Invalid,
            kind => kind,
        }
    }

    /// As [`Kind::of`], for a name that is known to be a token in lower case, or a pseudo-header's.
    #[inline]
    pub const fn known(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            b":status" => Self::Status,
            b"host" => Self::Host,
            b"content-length" => Self::ContentLength,
            b"cookie" => Self::Cookie,
            b"te" => Self::Te,
            b"sec-websocket-key" | b"sec-websocket-accept" => Self::WebSocket,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                Self::Connection
            }
            _ => Self::Other,
        }
    }
}

/// Whether `name` is a token in lower case (RFC 9113 §8.2.1, and RFC 9110 §5.1, which is stricter).
const fn is_name(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if !NAME_BYTES[name[at] as usize] {
            return false;
        }
        at += 1;
    }
    at > 0
}

/// Whether `byte` may stand in a token (RFC 9110 §5.6.2).
pub const fn is_token_byte(byte: u8) -> bool {
    NAME_BYTES[byte.to_ascii_lowercase() as usize]
}

/// Whether `value` has no control but TAB, which no parser of HTTP/1.1 would take either, and no white space around it.
#[inline]
pub fn is_value(value: &[u8]) -> bool {
    // Without an early return: so the compiler looks at many bytes at once.
    let has_control =
        value.iter().fold(false, |any, &byte| any | ((byte < 0x20) & (byte != b'\t')) | (byte == 0x7f));
    !has_control && !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
}

static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 0x80 {
        table[byte as usize] = byte.is_ascii_lowercase() || byte.is_ascii_digit();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = true;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_in_lower_case() {
        for (name, kind) in [
            ("accept", Kind::Other),
            ("x_y.z", Kind::Other),
            ("cookie", Kind::Cookie),
            ("upgrade", Kind::Connection),
            ("", Kind::Invalid),
            ("Accept", Kind::Invalid),
            ("a b", Kind::Invalid),
            ("a:", Kind::Invalid),
            (":", Kind::Invalid),
            (":foo", Kind::Invalid),
            ("a\0", Kind::Invalid),
            ("\u{e4}", Kind::Invalid),
        ] {
            assert_eq!(Kind::of(name.as_bytes()), kind, "{name:?}");
        }
    }

    #[test]
    fn values_have_no_controls_and_no_white_space_around_them() {
        for good in ["", "a", "a b", "a\tb", "\u{e4}"] {
            assert!(is_value(good.as_bytes()), "{good:?}");
        }
        for bad in [" a", "a ", "\ta", "a\t", "a\r\nb: c", "a\nb", "a\rb", "a\0b", "a\u{7f}"] {
            assert!(!is_value(bad.as_bytes()), "{bad:?}");
        }
    }
}
