//! The fields that mean something to a proxy.

/// Which field a line is; everything that a proxy passes on unread is [`FieldKind::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "each is the field of that name")]
pub enum FieldKind {
    Other,
    /// One of the forwarding fields or of [`FieldKind::ClientCert`], written with an underscore: CGI (RFC 3875 §4.1.18) and
    /// its kin take both for the same variable, so that a client could speak in the proxy's name.
    Lookalike,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Upgrade,
    Expect,
    Te,
    Trailer,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    /// What else proxies say of their clients by custom: `X-Real-IP`, and `X-Forwarded-` with anything behind it.
    XForwardedOther,
    XRequestId,
    Forwarded,
    Cookie,
    SetCookie,
    Date,
    Server,
    /// What tells of a client's certificate: `X-Client-Cert-*`, and RFC 9440's fields.
    ClientCert,
}

/// Fields for one connection only (RFC 9110 §7.6.1), and those of RFC 2616 §13.5.1 that are still sent. `Trailer` is
/// among them because not all trailers are passed on: those that are have to be announced anew.
const HOP_BY_HOP: u32 = bit(FieldKind::Connection)
    | bit(FieldKind::TransferEncoding)
    | bit(FieldKind::Upgrade)
    | bit(FieldKind::Te)
    | bit(FieldKind::Trailer)
    | bit(FieldKind::KeepAlive)
    | bit(FieldKind::ProxyConnection)
    | bit(FieldKind::ProxyAuthenticate)
    | bit(FieldKind::ProxyAuthorization);

/// Fields whose values `Facts::note` takes in.
const NOTED: u32 = bit(FieldKind::Host)
    | bit(FieldKind::ContentLength)
    | bit(FieldKind::TransferEncoding)
    | bit(FieldKind::Connection)
    | bit(FieldKind::Upgrade)
    | bit(FieldKind::Expect);

/// What a proxy says of its client to an endpoint.
const TOLD: [&[u8]; 8] = [
    b"x-request-id",
    b"x-real-ip",
    b"client-cert",
    b"client-cert-chain",
    b"x-client-cert-san",
    b"x-client-cert-verify",
    b"x-client-cert-subject",
    b"x-client-cert-fingerprint",
];

/// What else a proxy says of its client begins so.
const FORWARDED: &[u8] = b"x-forwarded-";

const fn bit(kind: FieldKind) -> u32 {
    1 << kind as u8
}

impl FieldKind {
    /// Which field `name` is: one branch on the length, then comparisons of whole words.
    #[inline]
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        match name.len() {
            2 if is(name, b"te") => Self::Te,
            4 if is(name, b"host") => Self::Host,
            4 if is(name, b"date") => Self::Date,
            6 if is(name, b"cookie") => Self::Cookie,
            6 if is(name, b"server") => Self::Server,
            6 if is(name, b"expect") => Self::Expect,
            7 if is(name, b"upgrade") => Self::Upgrade,
            7 if is(name, b"trailer") => Self::Trailer,
            9 if is(name, b"forwarded") => Self::Forwarded,
            10 if is(name, b"connection") => Self::Connection,
            10 if is(name, b"keep-alive") => Self::KeepAlive,
            10 if is(name, b"set-cookie") => Self::SetCookie,
            11 if is(name, b"client-cert") => Self::ClientCert,
            12 if is(name, b"x-request-id") => Self::XRequestId,
            14 if is(name, b"content-length") => Self::ContentLength,
            15 if is(name, b"x-forwarded-for") => Self::XForwardedFor,
            16 if is(name, b"x-forwarded-host") => Self::XForwardedHost,
            16 if is(name, b"proxy-connection") => Self::ProxyConnection,
            17 if is(name, b"transfer-encoding") => Self::TransferEncoding,
            17 if is(name, b"x-forwarded-proto") => Self::XForwardedProto,
            17 if is(name, b"x-client-cert-san") => Self::ClientCert,
            17 if is(name, b"client-cert-chain") => Self::ClientCert,
            18 if is(name, b"proxy-authenticate") => Self::ProxyAuthenticate,
            19 if is(name, b"proxy-authorization") => Self::ProxyAuthorization,
            20 if is(name, b"x-client-cert-verify") => Self::ClientCert,
            21 if is(name, b"x-client-cert-subject") => Self::ClientCert,
            25 if is_fingerprint(name) => Self::ClientCert,
            9 if is(name, b"x-real-ip") => Self::XForwardedOther,
            9 | 12.. if name[0] | 0x20 == b'x' => Self::of_extension(name),
            11 | 17 if name[0] | 0x20 == b'c' && is_lookalike(name) => Self::Lookalike,
            _ => Self::Other,
        }
    }

    /// Of a name that begins with `X` and is none of the others.
    fn of_extension(name: &[u8]) -> Self {
        let is_forwarded = name.len() > FORWARDED.len() && is_like(&name[..FORWARDED.len()], FORWARDED);
        match (is_forwarded, name.contains(&b'_')) {
            (true, false) => Self::XForwardedOther,
            (true, true) => Self::Lookalike,
            (false, true) if is_lookalike(name) => Self::Lookalike,
            (false, _) => Self::Other,
        }
    }

    /// Whether such a field is for one connection only, whatever `Connection` says.
    #[inline]
    #[must_use]
    pub const fn is_hop_by_hop(self) -> bool {
        HOP_BY_HOP & bit(self) != 0
    }

    /// Whether what it says decides how the message is read.
    #[inline]
    pub(super) const fn is_noted(self) -> bool {
        NOTED & bit(self) != 0
    }
}

/// Whether `name` is one of [`TOLD`], but for underscores in place of hyphens.
fn is_lookalike(name: &[u8]) -> bool {
    name.contains(&b'_') && TOLD.iter().any(|known| is_like(name, known))
}

/// Whether CGI takes `name` for `known`, which is in lower case and has hyphens.
fn is_like(name: &[u8], known: &[u8]) -> bool {
    let as_cgi = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == known.len() && name.iter().map(as_cgi).eq(known.iter().copied())
}

/// Whether `name` equals `lower`, which is in lower case, without regard to case. `name` is free of controls but TAB.
///
/// Setting bit 0x20 lowers letters and keeps `-`; besides controls it maps nothing else onto
/// a letter or `-`, so no other name can look equal.
#[inline]
pub(super) fn is<const N: usize>(name: &[u8], lower: &[u8; N]) -> bool {
    let Ok(name) = <&[u8; N]>::try_from(name) else { return false };
    if let (Some(start), Some(lower_start)) = (name.first_chunk::<8>(), lower.first_chunk::<8>()) {
        if !same_word(*start, *lower_start) {
            return false;
        }
        // The last eight bytes overlap what is compared already; the middle is of the longest names only.
        let middle = name.get(8..).and_then(<[u8]>::first_chunk::<8>);
        let lower_middle = lower.get(8..).and_then(<[u8]>::first_chunk::<8>);
        let middle_is_same = match (middle, lower_middle) {
            (Some(middle), Some(lower_middle)) => same_word(*middle, *lower_middle),
            _ => true,
        };
        return middle_is_same
            && matches!((name.last_chunk::<8>(), lower.last_chunk::<8>()),
                (Some(end), Some(lower_end)) if same_word(*end, *lower_end));
    }
    if let (Some(start), Some(lower_start)) = (name.first_chunk::<4>(), lower.first_chunk::<4>()) {
        return same_half(*start, *lower_start)
            && matches!((name.last_chunk::<4>(), lower.last_chunk::<4>()),
                (Some(end), Some(lower_end)) if same_half(*end, *lower_end));
    }
    name.iter().zip(lower).fold(0, |difference, (byte, lower)| difference | (byte | 0x20) ^ lower) == 0
}

/// One byte longer than [`is`] compares.
fn is_fingerprint(name: &[u8]) -> bool {
    let (start, end) = name.split_at(14);
    is(start, b"x-client-cert-") && is(end, b"fingerprint")
}

#[inline]
fn same_half(bytes: [u8; 4], lower: [u8; 4]) -> bool {
    u32::from_le_bytes(bytes) | 0x2020_2020 == u32::from_le_bytes(lower)
}

#[inline]
fn same_word(bytes: [u8; 8], lower: [u8; 8]) -> bool {
    u64::from_le_bytes(bytes) | 0x2020_2020_2020_2020 == u64::from_le_bytes(lower)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAMES: [(&str, FieldKind); 30] = [
        ("X-Real-Ip", FieldKind::XForwardedOther),
        ("X-Forwarded-Port", FieldKind::XForwardedOther),
        ("X-Forwarded-Client-Cert", FieldKind::XForwardedOther),
        ("Host", FieldKind::Host),
        ("Connection", FieldKind::Connection),
        ("Content-Length", FieldKind::ContentLength),
        ("Transfer-Encoding", FieldKind::TransferEncoding),
        ("Upgrade", FieldKind::Upgrade),
        ("Expect", FieldKind::Expect),
        ("TE", FieldKind::Te),
        ("Trailer", FieldKind::Trailer),
        ("Keep-Alive", FieldKind::KeepAlive),
        ("Proxy-Connection", FieldKind::ProxyConnection),
        ("Proxy-Authenticate", FieldKind::ProxyAuthenticate),
        ("Proxy-Authorization", FieldKind::ProxyAuthorization),
        ("X-Forwarded-For", FieldKind::XForwardedFor),
        ("X-Forwarded-Proto", FieldKind::XForwardedProto),
        ("X-Forwarded-Host", FieldKind::XForwardedHost),
        ("X-Request-Id", FieldKind::XRequestId),
        ("Forwarded", FieldKind::Forwarded),
        ("Cookie", FieldKind::Cookie),
        ("Set-Cookie", FieldKind::SetCookie),
        ("Date", FieldKind::Date),
        ("Server", FieldKind::Server),
        ("Client-Cert", FieldKind::ClientCert),
        ("Client-Cert-Chain", FieldKind::ClientCert),
        ("X-Client-Cert-San", FieldKind::ClientCert),
        ("X-Client-Cert-Verify", FieldKind::ClientCert),
        ("X-Client-Cert-Subject", FieldKind::ClientCert),
        ("X-Client-Cert-Fingerprint", FieldKind::ClientCert),
    ];

    fn by_comparison(name: &[u8]) -> FieldKind {
        let known = NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name));
        let plain = String::from_utf8_lossy(name).replace('_', "-").to_ascii_lowercase();
        let is_forwarded = plain.len() > 12 && plain.starts_with("x-forwarded-");
        let other = match name.contains(&b'_') {
            true if is_forwarded || TOLD.contains(&plain.as_bytes()) => FieldKind::Lookalike,
            false if is_forwarded => FieldKind::XForwardedOther,
            _ => FieldKind::Other,
        };
        known.map_or(other, |(_, kind)| *kind)
    }

    #[test]
    fn what_cgi_takes_for_the_proxys_word_is_told_apart() {
        for name in [
            "X_Forwarded_For",
            "x-forwarded_for",
            "X_FORWARDED-PROTO",
            "X_Forwarded_Host",
            "x_request_id",
            "Client_Cert",
            "client-cert_chain",
            "X_Client_Cert_San",
            "x-client-cert_verify",
            "X_CLIENT-CERT-SUBJECT",
            "X_Client_Cert_Fingerprint",
            "X_Real_IP",
            "X_Forwarded_Port",
            "X-Forwarded-Any_Thing",
        ] {
            assert_eq!(FieldKind::of(name.as_bytes()), FieldKind::Lookalike, "{name}");
        }
        assert_eq!(FieldKind::of(b"X_Forwarded_"), FieldKind::Other);
        assert_eq!(FieldKind::of(b"X_Tenant_Name_Is"), FieldKind::Other);
    }

    #[test]
    fn every_name_is_known_in_every_case_and_no_neighbour_is() {
        for (name, kind) in NAMES {
            for spelling in [name.to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                assert_eq!(FieldKind::of(spelling.as_bytes()), kind, "{spelling}");
            }
            for place in 0..name.len() {
                for byte in (0..=u8::MAX).filter(|&byte| super::super::is_token_byte(byte)) {
                    let mut near = name.as_bytes().to_vec();
                    near[place] = byte;
                    assert_eq!(FieldKind::of(&near), by_comparison(&near), "{near:?}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_token_is_classified_as_by_comparison(name in "[!#$%&'*+.^_`|~0-9A-Za-z-]{0,24}") {
            prop_assert_eq!(FieldKind::of(name.as_bytes()), by_comparison(name.as_bytes()));
        }
    }
}
