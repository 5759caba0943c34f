//! What a stream carries.

/// What the request of a stream asked for, as far as it changes what the response means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exchange {
    /// A message and its answer.
    Message,
    /// HEAD: the answer has no content.
    HeadOnly,
    /// CONNECT: a tunnel, if the answer is 2xx.
    Connect,
    /// Extended CONNECT for a protocol that is not WebSocket (RFC 8441 §4).
    Upgrade(Box<[u8]>),
    /// Extended CONNECT for WebSocket, with the `sec-websocket-accept` that belongs to the key in the text.
    WebSocket(Box<[u8; 28]>),
}

impl Exchange {
    /// Whether its text is a GET with `Upgrade`, and 101 is the answer that makes a tunnel.
    pub const fn is_upgrade(&self) -> bool {
        matches!(self, Self::Upgrade(_) | Self::WebSocket(_))
    }

    /// Whether its answer may make a tunnel.
    pub const fn is_tunnel(&self) -> bool {
        matches!(self, Self::Connect | Self::Upgrade(_) | Self::WebSocket(_))
    }

    /// The protocol of an upgrade.
    pub fn protocol(&self) -> &[u8] {
        match self {
            Self::Upgrade(protocol) => protocol,
            Self::WebSocket(_) => b"websocket",
            _ => b"",
        }
    }
}
