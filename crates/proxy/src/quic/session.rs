//! TLS in QUIC (RFC 9001): the listener's own certificates, policy and tickets, and `h3` as the only protocol.
//!
//! `quinn_proto` brings the like of it, but does not tell what was agreed on.

use crate::tls::{Early, Facts, Termination};
use evenly_core::client_hello::{Progress, Reader};
use evenly_core::client_tls::ClientTls;
use evenly_core::error::Failure;
use quinn_proto::crypto::rustls::{NoInitialCipherSuite, QuicServerConfig};
use quinn_proto::crypto::{
    self, ExportKeyingMaterialError, HeaderKey, KeyPair, Keys, PacketKey, UnsupportedVersion,
};
use quinn_proto::transport_parameters::TransportParameters;
use quinn_proto::{ConnectionError, ConnectionId, Side, TransportError, TransportErrorCode};
use rustls::HandshakeKind;
use rustls::quic::{KeyChange, Secrets, ServerConnection, Version};
use std::any::Any;
use std::io::Cursor;
use std::sync::Arc;

/// The name of HTTP/3 (RFC 9114 §3.1).
const H3: &[u8] = b"h3";

/// How sessions begin.
pub struct Sessions {
    config: Arc<rustls::ServerConfig>,
    /// Makes the keys of first packets, which everybody knows.
    initial: QuicServerConfig,
    /// Whether fingerprints of ClientHellos are made.
    ja4: bool,
}

impl Sessions {
    /// Sessions as a listener has them over TCP, in QUIC. How much of early data is taken is said by windows there
    /// (RFC 9001 §4.6.1).
    ///
    /// # Errors
    /// The policy lacks the cipher of first packets; none of ours does.
    pub fn new(termination: &Termination, ja4: bool) -> Result<Arc<Self>, NoInitialCipherSuite> {
        let mut config = rustls::ServerConfig::clone(&termination.config);
        config.alpn_protocols = vec![H3.to_vec()];
        config.max_early_data_size = if termination.sessions.is_some() { u32::MAX } else { 0 };
        let config = Arc::new(config);
        let initial = QuicServerConfig::try_from(Arc::clone(&config))?;
        Ok(Arc::new(Self { config, initial, ja4 }))
    }
}

impl crypto::ServerConfig for Sessions {
    fn initial_keys(&self, version: u32, id: &ConnectionId) -> Result<Keys, UnsupportedVersion> {
        self.initial.initial_keys(version, id)
    }

    fn retry_tag(&self, version: u32, id: &ConnectionId, packet: &[u8]) -> [u8; 16] {
        self.initial.retry_tag(version, id, packet)
    }

    fn start_session(
        self: Arc<Self>,
        version: u32,
        parameters: &TransportParameters,
    ) -> Box<dyn crypto::Session> {
        // The endpoint knows no other (`Endpoint::new`).
        debug_assert_eq!(version, 1);
        let mut bytes = Vec::new();
        parameters.write(&mut bytes);
        let tls = ServerConnection::new(Arc::clone(&self.config), Version::V1, bytes);
        let tls = tls.expect("TLS 1.3 and its ciphers are in every policy, and early data is all or none");
        let hello = self.ja4.then(|| Box::new(Reader::of_quic()));
        Box::new(Session { tls, config: self, has_told: false, next: None, hello, ja4: None })
    }
}

struct Session {
    tls: ServerConnection,
    config: Arc<Sessions>,
    has_told: bool,
    next: Option<Secrets>,
    /// Collects the ClientHello, as long as it does not know the fingerprint and somebody goes by that.
    hello: Option<Box<Reader>>,
    ja4: Option<Box<str>>,
}

impl Session {
    /// Whether early data was accepted, and the handshake is not over.
    fn is_early(&self) -> bool {
        self.tls.is_handshaking() && self.tls.zero_rtt_keys().is_some()
    }
}

impl crypto::Session for Session {
    fn initial_keys(&self, id: &ConnectionId, _: Side) -> Keys {
        crypto::ServerConfig::initial_keys(&self.config.initial, 1, id)
            .unwrap_or_else(|_| unreachable!("version 1 is known"))
    }

    /// A [`Facts`], once the handshake is over or early data was accepted.
    fn handshake_data(&self) -> Option<Box<dyn Any>> {
        let suite = self.tls.negotiated_cipher_suite().map(|suite| suite.suite());
        let facts = Facts {
            version: "1.3",
            cipher: suite.and_then(|suite| suite.as_str()).unwrap_or_default(),
            name: self.tls.server_name().map(Box::from),
            is_resumed: self.tls.handshake_kind() == Some(HandshakeKind::Resumed),
            is_h2: false,
            client: ClientTls { ja4: self.ja4.clone(), certificate: None },
            early: self.is_early().then(Early::begin),
        };
        (self.has_told || self.is_early()).then(|| Box::new(facts) as Box<dyn Any>)
    }

    /// The client's own certificate, if it has shown one: a `CertificateDer`.
    fn peer_identity(&self) -> Option<Box<dyn Any>> {
        let certificate = self.tls.peer_certificates()?.first()?;
        Some(Box::new(certificate.clone().into_owned()))
    }

    fn early_crypto(&self) -> Option<(Box<dyn HeaderKey>, Box<dyn PacketKey>)> {
        let keys = self.tls.zero_rtt_keys()?;
        Some((Box::new(keys.header), Box::new(keys.packet)))
    }

    fn early_data_accepted(&self) -> Option<bool> {
        None
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn read_handshake(&mut self, bytes: &[u8]) -> Result<bool, TransportError> {
        if let Some(reader) = &mut self.hello {
            match reader.feed(bytes) {
                Ok(Progress::More) => {}
                // What is wrong with it is rustls' to say.
                Ok(Progress::Hello(_)) | Err(_) => {
                    self.ja4 = reader.ja4().map(Into::into);
                    self.hello = None;
                }
            }
        }
        self.tls.read_hs(bytes).map_err(|error| {
            let alert = self.tls.alert().map(|alert| TransportErrorCode::crypto(alert.into()));
            let code = alert.unwrap_or(TransportErrorCode::PROTOCOL_VIOLATION);
            TransportError { code, frame: None, reason: error.to_string() }
        })?;
        let is_new = !self.has_told && !self.tls.is_handshaking();
        self.has_told |= is_new;
        Ok(is_new)
    }

    fn transport_parameters(&self) -> Result<Option<TransportParameters>, TransportError> {
        let Some(bytes) = self.tls.quic_transport_parameters() else { return Ok(None) };
        Ok(Some(TransportParameters::read(Side::Server, &mut Cursor::new(bytes))?))
    }

    fn write_handshake(&mut self, out: &mut Vec<u8>) -> Option<Keys> {
        let keys = match self.tls.write_hs(out)? {
            KeyChange::Handshake { keys } => keys,
            KeyChange::OneRtt { keys, next } => {
                self.next = Some(next);
                keys
            }
        };
        Some(Keys {
            header: KeyPair { local: Box::new(keys.local.header), remote: Box::new(keys.remote.header) },
            packet: KeyPair { local: Box::new(keys.local.packet), remote: Box::new(keys.remote.packet) },
        })
    }

    fn next_1rtt_keys(&mut self) -> Option<KeyPair<Box<dyn PacketKey>>> {
        let keys = self.next.as_mut()?.next_packet_keys();
        Some(KeyPair { local: Box::new(keys.local), remote: Box::new(keys.remote) })
    }

    fn is_valid_retry(&self, _: &ConnectionId, _: &[u8], _: &[u8]) -> bool {
        // Only clients get one.
        false
    }

    fn export_keying_material(
        &self,
        _: &mut [u8],
        _: &[u8],
        _: &[u8],
    ) -> Result<(), ExportKeyingMaterialError> {
        // Nobody here asks for any.
        Err(ExportKeyingMaterialError)
    }
}

/// Why a handshake came to nothing.
pub fn failure(reason: &ConnectionError) -> Failure {
    // RFC 8446 §6, and RFC 9001 §4.8 for how QUIC carries it.
    const CRYPTO: u64 = 0x100;
    const HANDSHAKE_FAILURE: u64 = CRYPTO + 40;
    const BAD_CERTIFICATE: u64 = CRYPTO + 42;
    const UNSUPPORTED_CERTIFICATE: u64 = CRYPTO + 43;
    const CERTIFICATE_REVOKED: u64 = CRYPTO + 44;
    const CERTIFICATE_EXPIRED: u64 = CRYPTO + 45;
    const CERTIFICATE_UNKNOWN: u64 = CRYPTO + 46;
    const UNKNOWN_AUTHORITY: u64 = CRYPTO + 48;
    const ACCESS_DENIED: u64 = CRYPTO + 49;
    const DECRYPT_ERROR: u64 = CRYPTO + 51;
    const PROTOCOL_VERSION: u64 = CRYPTO + 70;
    const UNRECOGNIZED_NAME: u64 = CRYPTO + 112;
    const CERTIFICATE_REQUIRED: u64 = CRYPTO + 116;
    const NO_APPLICATION_PROTOCOL: u64 = CRYPTO + 120;
    match reason {
        ConnectionError::TransportError(error) => match u64::from(error.code) {
            HANDSHAKE_FAILURE | PROTOCOL_VERSION | NO_APPLICATION_PROTOCOL => Failure::TlsNoMatch,
            ACCESS_DENIED | UNRECOGNIZED_NAME => Failure::TlsNameUnknown,
            CERTIFICATE_REQUIRED => Failure::ClientCertificateMissing,
            UNKNOWN_AUTHORITY | DECRYPT_ERROR => Failure::ClientCertificateUntrusted,
            CERTIFICATE_EXPIRED => Failure::ClientCertificateExpired,
            CERTIFICATE_REVOKED => Failure::ClientCertificateRevoked,
            BAD_CERTIFICATE | UNSUPPORTED_CERTIFICATE | CERTIFICATE_UNKNOWN => Failure::ClientCertificateBad,
            _ => Failure::TlsBad,
        },
        ConnectionError::ConnectionClosed(_) => Failure::TlsRefused,
        ConnectionError::TimedOut => Failure::TlsTimeout,
        _ => Failure::TlsClosed,
    }
}
