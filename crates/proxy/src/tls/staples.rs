//! What issuers say of their certificates not being revoked, shown with these in handshakes (OCSP, RFC 6960; stapled, RFC 6066
//! §8). Who asks them is the control plane; here it is only known until when an answer may be shown, whether or not anybody
//! comes with the next one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evenly_core::document::{DocumentError, Staple};
use rustc_hash::FxHashMap;
use rustls::sign::CertifiedKey;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Bytes. An answer with a certificate of the responder's takes two thousand; together with the chain it has to fit into
/// what is sealed at once.
const MOST_BYTES: usize = 16 * 1024;

/// Answers by the name of the certificate.
#[derive(Default)]
pub struct Staples<'d>(FxHashMap<&'d str, (Vec<u8>, SystemTime)>);

impl<'d> Staples<'d> {
    /// Reads them.
    ///
    /// # Errors
    /// One that is not what it should be, with its path.
    pub fn read(staples: &'d [Staple]) -> Result<Self, DocumentError> {
        let mut all = FxHashMap::default();
        for (i, staple) in staples.iter().enumerate() {
            let fail =
                |field: &str, message: &str| DocumentError::new(format!("staples[{i}].{field}"), message);
            let response =
                STANDARD.decode(&staple.response).map_err(|_| fail("response", "is not base64"))?;
            if response.is_empty() || response.len() > MOST_BYTES {
                return Err(fail("response", "must have 1 to 16384 bytes"));
            }
            let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(staple.until));
            let until = until.ok_or_else(|| fail("until", "is later than any clock goes"))?;
            all.insert(staple.certificate.as_str(), (response, until));
        }
        Ok(Self(all))
    }

    /// A certificate with the answer that there is for it.
    pub fn on(&self, name: &str, bare: &Arc<CertifiedKey>) -> Shown {
        let stapled = self.0.get(name).map(|(response, until)| {
            let key = CertifiedKey { ocsp: Some(response.clone()), ..CertifiedKey::clone(bare) };
            (Arc::new(key), *until)
        });
        Shown { bare: Arc::clone(bare), stapled }
    }
}

/// A certificate with its key, and with its issuer's answer as long as that is good.
#[derive(Debug)]
pub struct Shown {
    bare: Arc<CertifiedKey>,
    stapled: Option<(Arc<CertifiedKey>, SystemTime)>,
}

impl Shown {
    /// Without the answer.
    pub fn bare(&self) -> &CertifiedKey {
        &self.bare
    }

    /// As clients are shown it at this time: an answer that has expired is worse than none, which most clients put up with.
    pub fn at(&self, now: impl FnOnce() -> SystemTime) -> Arc<CertifiedKey> {
        match &self.stapled {
            Some((key, until)) if now() < *until => Arc::clone(key),
            _ => Arc::clone(&self.bare),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use rustls::crypto::aws_lc_rs::sign::any_supported_type;
    use rustls::pki_types::PrivatePkcs8KeyDer;

    fn staple(response: &str, until: u64) -> Staple {
        Staple { certificate: "site".into(), response: response.into(), until }
    }

    #[test]
    fn an_answer_is_shown_until_it_expires_and_with_its_own_certificate_only() {
        let raw =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let key = any_supported_type(&PrivatePkcs8KeyDer::from(raw.as_ref().to_vec()).into()).unwrap();
        let bare = Arc::new(CertifiedKey::new(Vec::new(), key));
        let answers = [staple("AQID", 1000)];
        let staples = Staples::read(&answers).unwrap();
        let shown = staples.on("site", &bare);
        let at = |second: u64| shown.at(|| SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        assert_eq!(at(999).ocsp.as_deref(), Some(&[1, 2, 3][..]));
        assert_eq!(at(1000).ocsp, None);
        assert_eq!(staples.on("other", &bare).at(|| SystemTime::UNIX_EPOCH).ocsp, None);
    }

    #[test]
    fn what_is_no_answer_is_refused_with_its_place() {
        let large = STANDARD.encode(vec![0; MOST_BYTES + 1]);
        for (answer, path) in [
            (staple("A", 1), "staples[1].response"),
            (staple("", 1), "staples[1].response"),
            (staple(&large, 1), "staples[1].response"),
            (staple("AQID", u64::MAX), "staples[1].until"),
        ] {
            let answers = [staple("AQID", 1), answer];
            assert_eq!(Staples::read(&answers).err().map(|error| error.path), Some(path.to_owned()));
        }
    }
}
