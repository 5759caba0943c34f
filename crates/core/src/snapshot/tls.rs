//! What must hold between certificates, listeners that terminate TLS and pools that speak it. Whether a key fits its certificate is found out
//! where keys are read, in the `proxy` crate.

use crate::document::{
    Document, DocumentError, Listener, ListenerTls, Protocol, Route, SessionTickets, TlsPolicy, TlsVersion,
};
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
    if let Some(i) =
        document.staples.iter().position(|staple| !names().any(|known| known == staple.certificate))
    {
        let message = unknown("certificate", &document.staples[i].certificate, names());
        return Err(DocumentError::new(format!("staples[{i}].certificate"), message));
    }
    pools(document)?;
    early_data(document)?;
    secrets(&document.session_tickets).map_err(inside("session_tickets"))
}

/// Whether a listener takes early data: a route of its is for that, and sessions are resumed. Not where clients show
/// certificates, since what they are owed for those is not sent before the handshake is over.
pub fn takes_early_data(document: &Document, listener: &Listener) -> bool {
    let belongs =
        |route: &&Route| route.listeners.as_ref().is_none_or(|names| names.contains(&listener.name));
    listener.protocol == Protocol::Http
        && listener.tls.as_ref().is_some_and(|tls| tls.session_tickets && tls.client_auth.is_none())
        && document.routes.iter().filter(belongs).any(|route| route.early_data)
}

fn early_data(document: &Document) -> Result<(), DocumentError> {
    for (i, route) in document.routes.iter().enumerate().filter(|(_, route)| route.early_data) {
        let mut listeners = document.listeners.iter();
        let is_its = |listener: &&Listener| {
            route.listeners.as_ref().is_none_or(|names| names.contains(&listener.name))
        };
        if !listeners.any(|listener| is_its(&listener) && takes_early_data(document, listener)) {
            let message = "has no effect: no listener of the route has TLS with session tickets and without client \
                           certificates";
            return Err(DocumentError::new(format!("routes[{i}].early_data"), message));
        }
    }
    Ok(())
}

fn pools(document: &Document) -> Result<(), DocumentError> {
    let names = || document.certificates.iter().map(|certificate| certificate.name.as_str());
    for (i, pool) in document.pools.iter().enumerate() {
        let Some(tls) = &pool.tls else { continue };
        let fail =
            |field: &str, message: String| Err(DocumentError::new(format!("pools[{i}].tls{field}"), message));
        if tls.ca.is_some() && !tls.verify {
            return fail(".ca", "has no effect without `verify`".into());
        }
        if let Some(name) = &tls.client_certificate
            && !names().any(|known| known == name)
        {
            return fail(".client_certificate", unknown("certificate", name, names()));
        }
        let takes = |listener: &&crate::document::Listener| {
            listener.protocol == Protocol::Udp && listener.pool.as_ref() == Some(&pool.name)
        };
        if let Some(listener) = document.listeners.iter().find(takes) {
            return fail(
                "",
                format!("is not spoken over datagrams, and listener '{}' is udp", listener.name),
            );
        }
    }
    Ok(())
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
