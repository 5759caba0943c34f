//! What must hold between listeners that terminate TLS and certificates. Whether a key fits its certificate is found out
//! where keys are read, in the `proxy` crate.

use crate::document::{Document, DocumentError, ListenerTls, SessionTickets, TlsPolicy, TlsVersion};
use crate::nearest::unknown;
use crate::route::inside;

/// A shorter secret could be found by trying.
const LEAST_SECRET_BYTES: usize = 16;

/// Checks references and combinations.
///
/// # Errors
/// The first value that breaks a rule, with its path.
pub(super) fn check(document: &Document) -> Result<(), DocumentError> {
    let names = || document.certificates.iter().map(|certificate| certificate.name.as_str());
    for (i, listener) in document.listeners.iter().enumerate() {
        let Some(tls) = &listener.tls else { continue };
        options(tls).map_err(inside(&format!("listeners[{i}].tls")))?;
        for (j, name) in tls.certificates.iter().enumerate() {
            if !names().any(|known| known == name) {
                let path = format!("listeners[{i}].tls.certificates[{j}]");
                return Err(DocumentError::new(path, unknown("certificate", name, names())));
            }
        }
    }
    secrets(&document.session_tickets).map_err(inside("session_tickets"))
}

fn options(tls: &ListenerTls) -> Result<(), DocumentError> {
    if tls.certificates.is_empty() {
        return Err(DocumentError::new("certificates", "needs at least one"));
    }
    if tls.policy == TlsPolicy::Modern && tls.min_version == Some(TlsVersion::V12) {
        let message = "the policy \"modern\" has TLS 1.3 only; \"intermediate\" has 1.2 as well";
        return Err(DocumentError::new("min_version", message));
    }
    match tls.alpn.iter().position(|name| !(1..=255).contains(&name.len())) {
        Some(i) => Err(DocumentError::new(format!("alpn[{i}]"), "must have 1 to 255 bytes")),
        None => Ok(()),
    }
}

fn secrets(tickets: &SessionTickets) -> Result<(), DocumentError> {
    let given = [("secret", &tickets.secret), ("previous_secret", &tickets.previous_secret)];
    for (field, secret) in given {
        if secret.as_ref().is_some_and(|secret| secret.0.len() < LEAST_SECRET_BYTES) {
            return Err(DocumentError::new(field, format!("must have at least {LEAST_SECRET_BYTES} bytes")));
        }
    }
    if tickets.secret.is_none() && tickets.previous_secret.is_some() {
        return Err(DocumentError::new("previous_secret", "has no effect without `secret`"));
    }
    Ok(())
}
