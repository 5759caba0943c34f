//! What a client has shown of itself in its TLS handshake: its certificate, and how it says hello.
//!
//! Read once for a connection; conditions of routes, header fields and the access log go by it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use std::fmt::Write;

/// All of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// The certificate, which the listener has verified.
    pub certificate: Option<ClientCertificate>,
    /// The fingerprint of its ClientHello, where somebody goes by it.
    pub ja4: Option<Box<str>>,
}

/// A client's certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Its subject as RFC 4514 writes it: "CN=ops,O=Example".
    pub subject: Box<str>,
    /// Its alternative names.
    pub names: Box<[Name]>,
    /// SHA-256 of the whole, in hexadecimal digits.
    pub fingerprint: Box<str>,
    /// The whole, where endpoints are told it.
    pub whole: Option<Box<[u8]>>,
}

/// A name of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Name {
    /// "DNS", "URI", "email" or "IP".
    pub kind: &'static str,
    /// "ops.example.com", "spiffe://example.com/ops".
    pub value: Box<str>,
}

/// What conditions can be about.
pub const NAMES: [&str; 4] = ["subject", "san", "fingerprint", "ja4"];

impl ClientTls {
    /// Whether `test` accepts any value of what is called so.
    pub fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let certificate = self.certificate.as_ref();
        match name {
            "subject" => certificate.is_some_and(|shown| test(shown.subject.as_bytes())),
            "fingerprint" => certificate.is_some_and(|shown| test(shown.fingerprint.as_bytes())),
            "san" => {
                certificate.is_some_and(|shown| shown.names.iter().any(|name| test(name.value.as_bytes())))
            }
            "ja4" => self.ja4.as_ref().is_some_and(|ja4| test(ja4.as_bytes())),
            _ => false,
        }
    }
}

impl ClientCertificate {
    /// The fields that tell endpoints of it.
    pub fn fields(&self, out: &mut String) {
        out.push_str("X-Client-Cert-Verify: success\r\nX-Client-Cert-Subject: ");
        // A client whose authority lets it choose its name must not write a field with it.
        push_safe(out, &self.subject, &[]);
        if !self.names.is_empty() {
            out.push_str("\r\nX-Client-Cert-San: ");
            for (i, name) in self.names.iter().enumerate() {
                // Writing to memory does not fail.
                let _ = write!(out, "{}{}:", if i > 0 { ", " } else { "" }, name.kind);
                push_safe(out, &name.value, &[' ', ',']);
            }
        }
        let _ = write!(out, "\r\nX-Client-Cert-Fingerprint: {}\r\n", self.fingerprint);
        if let Some(whole) = &self.whole {
            // A byte sequence (RFC 9440 §2.1, RFC 8941 §3.3.5).
            let _ = write!(out, "Client-Cert: :{}:\r\n", STANDARD.encode(whole));
        }
    }
}

/// The field of a client that has shown none.
pub const NO_CERTIFICATE: &str = "X-Client-Cert-Verify: none\r\n";

/// Control characters, and those of `reserved`, are written as "%0A".
fn push_safe(out: &mut String, text: &str, reserved: &[char]) {
    for character in text.chars() {
        if character.is_control() || reserved.contains(&character) {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(subject: &str, names: &[(&'static str, &str)]) -> ClientTls {
        let names = names.iter().map(|(kind, value)| Name { kind, value: (*value).into() }).collect();
        let certificate =
            ClientCertificate { subject: subject.into(), names, fingerprint: "ab".into(), whole: None };
        ClientTls { certificate: Some(certificate), ja4: None }
    }

    #[test]
    fn no_name_writes_a_field_of_its_own() {
        let tls = shown("CN=a\r\nX-Admin: 1", &[("DNS", "a.test, URI:b"), ("URI", "spiffe://t/\u{7f}")]);
        let mut out = String::new();
        tls.certificate.unwrap().fields(&mut out);
        let expected = "X-Client-Cert-Verify: success\r\nX-Client-Cert-Subject: CN=a%0D%0AX-Admin: 1\r\n\
             X-Client-Cert-San: DNS:a.test%2C%20URI:b, URI:spiffe://t/%7F\r\nX-Client-Cert-Fingerprint: ab\r\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn conditions_go_by_any_name() {
        let tls = shown("CN=a", &[("DNS", "a.test"), ("URI", "spiffe://t/a")]);
        for (name, value) in
            [("subject", "CN=a"), ("san", "a.test"), ("san", "spiffe://t/a"), ("fingerprint", "ab")]
        {
            assert!(tls.any(name, &mut |found| found == value.as_bytes()), "{name}");
        }
        assert!(!tls.any("ja4", &mut |_| true) && !tls.any("other", &mut |_| true));
        assert!(!ClientTls::default().any("subject", &mut |_| true));
    }
}
