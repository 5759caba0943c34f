//! What was agreed on in a handshake.

use super::early::Early;
use evenly_core::client_tls::ClientTls;
use rustls::unbuffered::UnbufferedConnectionCommon;
use rustls::{HandshakeKind, ProtocolVersion};

/// What was agreed on.
#[derive(Debug, Default)]
pub struct Facts {
    /// "1.3".
    pub version: &'static str,
    /// As IANA names it.
    pub cipher: &'static str,
    /// The name that the client asked for.
    pub name: Option<Box<str>>,
    /// Whether it goes on with an earlier session.
    pub is_resumed: bool,
    /// Whether HTTP/2 was chosen (ALPN).
    pub is_h2: bool,
    /// What the client has shown of itself.
    pub client: ClientTls,
    /// Set on a connection that began with early data.
    pub early: Option<Box<Early>>,
}

impl Facts {
    /// Whether the client has sent something already whose handshake is not over.
    #[inline]
    pub fn is_early(&self) -> bool {
        self.early.as_ref().is_some_and(|early| early.is_open())
    }

    /// What of it is known before the end of the handshake.
    pub(super) fn known(&self) -> Self {
        let client = ClientTls { ja4: self.client.ja4.clone(), certificate: None };
        Self { name: self.name.clone(), client, ..Self::default() }
    }

    /// With what is known at its end.
    pub(super) fn agreed<D>(self, tls: &UnbufferedConnectionCommon<D>) -> Self {
        let suite = tls.negotiated_cipher_suite().map(|suite| suite.suite());
        Self {
            version: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "1.3",
                _ => "1.2",
            },
            cipher: suite.and_then(|suite| suite.as_str()).unwrap_or_default(),
            is_h2: tls.alpn_protocol() == Some(b"h2"),
            is_resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            ..self
        }
    }
}
