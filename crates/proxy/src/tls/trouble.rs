//! Why a handshake with an endpoint failed: for the client's status, and in words for whoever has to mend it.

use super::session::HandshakeError;
use crate::service::{Event, Events, Level};
use evenly_core::error::Failure;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// What the client is told by.
    pub failure: Failure,
    /// What the operator is told: "certificate has expired".
    pub text: &'static str,
}

impl Trouble {
    /// Of a session that was to carry HTTP/2, as all that it was offered.
    pub const NOT_HTTP_2: Self = Self {
        failure: Failure::UpstreamTlsFailed,
        text: "endpoint does not choose HTTP/2, which alone is offered (ALPN)",
    };

    /// Of a handshake that failed.
    pub fn of(error: &HandshakeError) -> Self {
        match error {
            HandshakeError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Self::failed("endpoint closed the connection during the handshake")
            }
            HandshakeError::Io(_) => Self::failed("connection broke during the handshake"),
            HandshakeError::Tls(error) => Self::of_tls(error),
        }
    }

    fn of_tls(error: &Error) -> Self {
        match error {
            Error::InvalidCertificate(error) => {
                Self { failure: Failure::UpstreamCertificateBad, text: of_certificate(error) }
            }
            Error::NoCertificatesPresented => {
                Self { failure: Failure::UpstreamCertificateBad, text: "endpoint shows no certificate" }
            }
            Error::AlertReceived(alert) => Self::failed(of_alert(*alert)),
            Error::PeerIncompatible(_) => Self::failed("no TLS version, cipher or group in common"),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                Self::failed("what the endpoint sends is not TLS")
            }
            Error::NoApplicationProtocol => Self::failed("no protocol in common (ALPN)"),
            _ => Self::failed("endpoint breaks the rules of TLS"),
        }
    }

    fn failed(text: &'static str) -> Self {
        Self { failure: Failure::UpstreamTlsFailed, text }
    }
}

/// An endpoint that ends a session with an alert before it has answered anything: under TLS 1.3 it says only then what it
/// thinks of our certificate (RFC 8446 §4.4.2.4).
pub fn of_read(error: &io::Error) -> Option<Trouble> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::AlertReceived(alert) => Some(Trouble::failed(of_alert(*alert))),
        _ => None,
    }
}

fn of_certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not valid yet"
        }
        // Whoever has the name of somebody who is trusted, and not the key, is somebody else.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate is of nobody who is trusted"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "certificate is for another name"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate is not for servers"
        }
        CertificateError::BadEncoding => "certificate cannot be read",
        // What it says of itself: webpki refuses authorities, and versions before 3.
        _ => "certificate is not one for servers: an authority's own, or one that breaks the rules",
    }
}

fn of_alert(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateRequired => "endpoint wants a client certificate",
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnknownCA
        | AlertDescription::AccessDenied => "endpoint refuses our client certificate",
        AlertDescription::ProtocolVersion => "no TLS version in common",
        AlertDescription::UnrecognisedName => "endpoint does not know the name that it is asked for",
        AlertDescription::NoApplicationProtocol => "no protocol in common (ALPN)",
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            "endpoint found nothing in common, or wants a client certificate"
        }
        _ => "endpoint ended the handshake with an alert",
    }
}

/// For how long the same trouble is not told again.
const QUIET: Duration = Duration::from_secs(3600);
/// The least time between two that are told: an endpoint whose troubles change with each handshake fills no log.
const PAUSE: Duration = Duration::from_secs(10);

/// Tells the troubles with one endpoint, and remembers the last.
pub struct Teller {
    pool: Box<str>,
    address: SocketAddr,
    events: Arc<Events>,
    last: Mutex<Last>,
}

#[derive(Default)]
struct Last {
    trouble: Option<Trouble>,
    told: Option<(Trouble, Instant)>,
}

impl Teller {
    /// For an endpoint of this pool.
    pub fn new((pool, address): (&str, SocketAddr), events: &Arc<Events>) -> Self {
        Self { pool: pool.into(), address, events: Arc::clone(events), last: Mutex::default() }
    }

    /// Notes a trouble, and tells it unless the last one was the same, or just told.
    pub fn tell(&self, trouble: Trouble) {
        let now = Instant::now();
        let mut last = self.lock();
        last.trouble = Some(trouble);
        if last.told.is_some_and(|told| is_quiet(told, (trouble, now))) {
            return;
        }
        last.told = Some((trouble, now));
        drop(last);
        let message = format!("pool {}: TLS with {}: {}", self.pool, self.address, trouble.text);
        self.events.push(Event::message(Level::Warning, message));
    }

    /// The last trouble, unless it is over.
    pub fn trouble(&self) -> Option<Trouble> {
        self.lock().trouble
    }

    /// It is over.
    pub fn clear(&self) {
        self.lock().trouble = None;
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        // Changed by whole stores, so a panic of the lock's holder leaves it usable.
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_quiet((told, at): (Trouble, Instant), (trouble, now): (Trouble, Instant)) -> bool {
    now < at + if told == trouble { QUIET } else { PAUSE }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_once_and_not_more_than_the_log_takes() {
        let events = Arc::<Events>::default();
        let teller = Teller::new(("app", SocketAddr::from(([10, 0, 0, 1], 443))), &events);
        let expired = Trouble::of_tls(&Error::InvalidCertificate(CertificateError::Expired));
        assert_eq!(expired.failure, Failure::UpstreamCertificateBad);
        teller.tell(expired);
        teller.tell(expired);
        let other = Trouble::of_tls(&Error::AlertReceived(AlertDescription::CertificateRequired));
        teller.tell(other);
        assert_eq!(events.wait(Duration::ZERO).len(), 1, "the same, and one that comes at once, are not");
        assert_eq!(teller.trouble(), Some(other), "but they are remembered");
        teller.clear();
        assert_eq!(teller.trouble(), None);
        let now = Instant::now();
        assert!(!is_quiet((expired, now), (other, now + PAUSE)));
        assert!(
            is_quiet((expired, now), (expired, now + PAUSE))
                && !is_quiet((expired, now), (expired, now + QUIET))
        );
    }

    #[test]
    fn only_alerts_say_something_of_a_session_that_ended() {
        let broken = |error: Error| io::Error::new(io::ErrorKind::InvalidData, error);
        let refused = of_read(&broken(Error::AlertReceived(AlertDescription::UnknownCA))).unwrap();
        assert_eq!(refused.text, "endpoint refuses our client certificate");
        assert_eq!(of_read(&broken(Error::DecryptError)), None);
        assert_eq!(of_read(&io::ErrorKind::ConnectionReset.into()), None);
    }
}
