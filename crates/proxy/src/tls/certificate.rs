//! Reads a client's certificate, which rustls has verified, for what it says.

use aws_lc_rs::digest::{SHA256, digest};
use evenly_core::client_tls::{ClientCertificate, Name};
use evenly_core::error::Failure;
use rustls::pki_types::CertificateDer;
use std::fmt::Write;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Reads it; all of it is kept with `whole`.
///
/// # Errors
/// It has expired meanwhile, or breaks rules that rustls has not looked at.
pub fn read_certificate(der: &CertificateDer<'_>, whole: bool) -> Result<ClientCertificate, Failure> {
    let certificate = Certificate::from_der(der).map_err(|_| Failure::ClientCertificateBad)?;
    let body = certificate.tbs_certificate();
    // A clock before 1970 is wrong anyway.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if body.validity().not_after.to_unix_duration() < now {
        return Err(Failure::ClientCertificateExpired);
    }
    let listed = body.get_extension::<SubjectAltName>().map_err(|_| Failure::ClientCertificateBad)?;
    let names = listed.map(|(_, names)| names.0.iter().filter_map(name).collect()).unwrap_or_default();
    let mut fingerprint = String::with_capacity(64);
    for byte in digest(&SHA256, der).as_ref() {
        // Writing to memory does not fail.
        let _ = write!(fingerprint, "{byte:02x}");
    }
    Ok(ClientCertificate {
        subject: body.subject().to_string().into(),
        names,
        fingerprint: fingerprint.into(),
        whole: whole.then(|| der.as_ref().into()),
    })
}

fn name(name: &GeneralName) -> Option<Name> {
    let (kind, value) = match name {
        GeneralName::DnsName(name) => ("DNS", name.to_string()),
        GeneralName::UniformResourceIdentifier(name) => ("URI", name.to_string()),
        GeneralName::Rfc822Name(name) => ("email", name.to_string()),
        GeneralName::IpAddress(bytes) => ("IP", address(bytes.as_bytes())?.to_string()),
        // Names that nobody goes by: of directories, of other systems.
        _ => return None,
    };
    Some(Name { kind, value: value.into() })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    four.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}
