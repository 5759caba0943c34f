//! Ciphers, groups and versions: Mozilla's policies.

use evenly_core::document::{TlsPolicy, TlsVersion};
use rustls::crypto::aws_lc_rs::{cipher_suite, default_provider, kx_group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

/// The key exchanges of Mozilla's policies: hybrid with ML-KEM first, so that what is recorded today cannot be read by
/// the machines of tomorrow.
static GROUPS: [&dyn SupportedKxGroup; 4] =
    [kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];

/// The ciphers of Mozilla's modern policy. The client's order counts: it knows whether it has AES in hardware.
static MODERN: [SupportedCipherSuite; 3] = [
    cipher_suite::TLS13_AES_128_GCM_SHA256,
    cipher_suite::TLS13_AES_256_GCM_SHA384,
    cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
];

/// What its intermediate policy has besides, but for finite-field Diffie-Hellman, which rustls does not do.
static INTERMEDIATE: [SupportedCipherSuite; 6] = [
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// What a policy leaves to choose from.
pub fn provider(policy: TlsPolicy) -> CryptoProvider {
    let mut cipher_suites = MODERN.to_vec();
    if policy == TlsPolicy::Intermediate {
        cipher_suites.extend_from_slice(&INTERMEDIATE);
    }
    CryptoProvider { cipher_suites, kx_groups: GROUPS.to_vec(), ..default_provider() }
}

static ONLY_13: [&SupportedProtocolVersion; 1] = [&TLS13];
static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// This version and those above it.
pub fn versions(lowest: TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match lowest {
        TlsVersion::V13 => &ONLY_13,
        TlsVersion::V12 => &FROM_12,
    }
}
