//! One JSON object a line (RFC 8259), fields in a fixed order, absent ones left out.

use super::{Asked, Names};
use crate::clock;
use crate::metrics::Record;
use crate::tls::Facts;
use std::io::Write;
use std::time::Duration;

/// Writes what is known from the request. Returns the length, as all that follows is appended.
pub(super) fn begin(out: &mut Vec<u8>, asked: &Asked<'_>) -> usize {
    out.extend_from_slice(b"{\"time\":\"");
    clock::write_iso(out);
    out.push(b'"');
    // Writing to memory does not fail.
    let _ = write!(out, ",\"client\":\"{}\",\"peer\":\"{}\"", asked.client, asked.peer);
    let texts: [(&str, &[u8]); 8] = [
        ("listener", asked.listener.as_bytes()),
        ("protocol", asked.protocol.as_bytes()),
        ("request_id", asked.request_id.as_bytes()),
        ("method", asked.method.as_bytes()),
        ("host", asked.host.as_bytes()),
        ("target", asked.target.as_bytes()),
        ("referer", asked.referer),
        ("user_agent", asked.user_agent),
    ];
    texts.into_iter().for_each(|(name, value)| field(out, name, value));
    out.len()
}

/// Writes whose request it is.
pub(super) fn user(out: &mut Vec<u8>, name: &str) {
    field(out, "user", name.as_bytes());
}

/// Writes what was agreed on with a client that came over TLS.
pub(super) fn tls(out: &mut Vec<u8>, facts: &Facts) {
    field(out, "tls", facts.version.as_bytes());
    field(out, "cipher", facts.cipher.as_bytes());
    server_name(out, facts.name.as_deref().unwrap_or_default());
    let _ = write!(out, ",\"tls_resumed\":{}", facts.is_resumed);
    if facts.is_early() {
        out.extend_from_slice(b",\"early_data\":true");
    }
    if let Some(certificate) = &facts.client.certificate {
        field(out, "client_subject", certificate.subject.as_bytes());
        field(out, "client_fingerprint", certificate.fingerprint.as_bytes());
    }
    field(out, "ja4", facts.client.ja4.as_deref().unwrap_or_default().as_bytes());
}

/// Writes the name that a client's ClientHello has.
pub(super) fn server_name(out: &mut Vec<u8>, name: &str) {
    field(out, "sni", name.as_bytes());
}

/// Writes what the response was compressed with, and from how many bytes.
pub(super) fn compressed(out: &mut Vec<u8>, coding: &str, bytes: u64) {
    field(out, "coding", coding.as_bytes());
    // Writing to memory does not fail.
    let _ = write!(out, ",\"bytes_before_coding\":{bytes}");
}

/// Writes what became of the second try.
pub(super) fn hedged(out: &mut Vec<u8>, word: &str) {
    field(out, "hedge", word.as_bytes());
}

/// Writes for how long the route's fault injection held it up.
pub(super) fn delayed(out: &mut Vec<u8>, delay: Duration) {
    milliseconds(out, "fault_delay_ms", delay.as_micros());
}

/// Writes what was spoken to the endpoint.
pub(super) fn spoken(out: &mut Vec<u8>, protocol: &str) {
    field(out, "endpoint_protocol", protocol.as_bytes());
}

/// Writes what is known at the end.
pub(super) fn finish(out: &mut Vec<u8>, record: &Record, names: &Names<'_>) {
    field(out, "route", names.route.unwrap_or_default().as_bytes());
    field(out, "pool", names.pool.unwrap_or_default().as_bytes());
    if let Some(endpoint) = names.endpoint {
        let _ = write!(out, ",\"endpoint\":\"{endpoint}\"");
    }
    if record.status > 0 {
        let _ = write!(out, ",\"status\":{}", record.status);
    }
    if let Some(status) = record.grpc_status {
        let _ = write!(out, ",\"grpc_status\":{status}");
    }
    if let Some(failure) = record.failure {
        field(out, "reason", failure.reason().as_bytes());
    }
    field(out, "affinity", record.affinity.outcome.reason().as_bytes());
    let _ = write!(out, ",\"bytes_in\":{},\"bytes_out\":{}", record.bytes_in, record.bytes_out);
    let times = [
        ("queue_ms", record.queue_nanos),
        ("connect_ms", record.connect_nanos),
        ("upstream_ms", record.upstream_nanos),
        ("total_ms", record.total_nanos),
    ];
    for (name, nanos) in times {
        milliseconds(out, name, u128::from(nanos / 1000));
    }
    let _ = writeln!(out, ",\"attempts\":{},\"resent\":{}}}", record.attempts, record.attempts > 1);
}

fn milliseconds(out: &mut Vec<u8>, name: &str, micros: u128) {
    let _ = write!(out, ",\"{name}\":{}.{:03}", micros / 1000, micros % 1000);
}

fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    if value.is_empty() {
        return;
    }
    let _ = write!(out, ",\"{name}\":\"");
    escape(out, value);
    out.push(b'"');
}

/// Text that is UTF-8 stays as it is; any other byte above ASCII is taken for Latin-1, so that the line is valid JSON
/// and nothing is lost.
fn escape(out: &mut Vec<u8>, value: &[u8]) {
    let is_text = std::str::from_utf8(value).is_ok();
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x20..=0x7e => out.push(byte),
            0x80.. if is_text => out.push(byte),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_become_valid_json() {
        for value in
            [&b"plain"[..], b"quo\"te\\", b"tab\tand\x01", "caf\u{e9}".as_bytes(), b"caf\xe9", b"\xff\xfe"]
        {
            let mut out = vec![b'"'];
            escape(&mut out, value);
            out.push(b'"');
            let text: String = serde_json::from_slice(&out).unwrap();
            assert!(text.len() >= value.len(), "{text}");
        }
    }
}
