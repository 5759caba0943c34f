//! Certificates of clients: whose are believed, and which are revoked.

use super::roots::of_bundle;
use aws_lc_rs::digest::{Context, SHA256};
use evenly_core::document::{ClientAuth, DocumentError};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use std::fmt::Write;
use std::sync::Arc;

/// What a handshake needs.
///
/// # Errors
/// A bundle or a list that cannot be used, with its field.
pub fn verifier(
    auth: &ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, DocumentError> {
    let roots = of_bundle(&auth.ca).map_err(|message| DocumentError::new("client_auth.ca", message))?;
    let fail = |message: String| DocumentError::new("client_auth.crl", message);
    let lists =
        CertificateRevocationListDer::pem_slice_iter(auth.crl.as_deref().unwrap_or_default().as_bytes());
    let lists = lists.collect::<Result<Vec<_>, _>>().map_err(|error| fail(format!("is not PEM: {error}")))?;
    if lists.is_empty() && auth.crl.is_some() {
        return Err(fail("has no revocation list".into()));
    }
    // Of the client's own certificate: authorities in between are few, and their lists hardly ever at hand. A list that
    // should have been replaced is used all the same, because otherwise its end would lock everybody out.
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .with_crls(lists)
        .only_check_end_entity_revocation();
    if !auth.required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| fail(format!("cannot be used: {error}")))
}

/// What tickets are bound to besides the listener's name: who was allowed under other rules has to show itself again.
pub fn binding(auth: &ClientAuth) -> String {
    let mut context = Context::new(&SHA256);
    for part in [Some(&auth.ca), auth.crl.as_ref()] {
        let part = part.map_or("", String::as_str);
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.update(&[u8::from(auth.required)]);
    let mut text = String::with_capacity(64);
    for byte in context.finish().as_ref() {
        // Writing to memory does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
