//! What a pool's document must hold besides what [`crate::pool::Pool::build`] checks: texts that are sent to
//! endpoints, and deadlines.

use crate::dns;
use crate::document::{DocumentError, HealthCheck, Pool, Probe, StatusRange};
use crate::hash_key::HashKey;
use crate::route::{duration, is_host_and_port};
use crate::rules::is_token;

/// The length of a name takes one byte up to here, and none is as long.
const MAX_SERVICE_BYTES: usize = 127;

/// Checks one pool. Error paths are relative to it: "timeouts.connect_ms".
///
/// # Errors
/// The first value that breaks a rule.
pub(super) fn check(pool: &Pool) -> Result<(), DocumentError> {
    for (field, milliseconds) in [
        ("timeouts.connect_ms", pool.timeouts.connect_ms),
        ("timeouts.response_ms", pool.timeouts.response_ms),
        ("timeouts.idle_ms", pool.timeouts.idle_ms),
        ("timeouts.tunnel_idle_ms", pool.timeouts.tunnel_idle_ms),
        ("keepalive.idle_timeout_ms", pool.keepalive.idle_timeout_ms),
    ] {
        duration(field, milliseconds)?;
    }
    if let Some(request) = pool.timeouts.request_ms {
        duration("timeouts.request_ms", request)?;
    }
    if let Some(queue) = &pool.queue {
        duration("queue.timeout_ms", queue.timeout_ms)?;
        if queue.size == 0 {
            return Err(DocumentError::new("queue.size", "must be above 0; null is no queue"));
        }
    }
    if let Some(http2) = &pool.http2 {
        duration("http2.ping_after_ms", http2.ping_after_ms)?;
        for (field, number) in
            [("max_streams", http2.max_streams), ("max_connections", http2.max_connections)]
        {
            if number == 0 {
                return Err(DocumentError::new(format!("http2.{field}"), "must be at least 1"));
            }
        }
        if http2.negotiated && pool.tls.is_none() {
            return Err(DocumentError::new(
                "http2.negotiated",
                "needs `tls`, which the endpoint chooses under",
            ));
        }
        let telling = [
            ("proxy_protocol", pool.proxy_protocol.is_some()),
            ("source_address", pool.source_address.is_some()),
        ];
        if let Some((field, _)) = telling.into_iter().find(|(_, tells)| *tells) {
            return Err(DocumentError::new(
                field,
                "says whose a connection is, and those by HTTP/2 are shared",
            ));
        }
    }
    HashKey::of_pool(pool)?;
    pool.health_check.as_ref().map_or(Ok(()), check_health_check)
}

fn check_health_check(check: &HealthCheck) -> Result<(), DocumentError> {
    for (field, milliseconds) in [
        ("health_check.interval_ms", check.interval_ms),
        ("health_check.unhealthy_interval_ms", check.unhealthy_interval_ms),
        ("health_check.timeout_ms", check.timeout_ms),
    ] {
        duration(field, milliseconds)?;
    }
    let fail = |field: &str, message: String| {
        Err(DocumentError::new(format!("health_check.probe.{field}"), message))
    };
    if let Probe::Dns { name, expected_rcode, .. } = &check.probe {
        if dns::encode(name).is_none() {
            return fail("name", format!("'{name}' is not a domain name"));
        }
        if expected_rcode.is_empty() || expected_rcode.iter().any(|code| *code > 15) {
            return fail("expected_rcode", "must hold at least one code, each from 0 to 15".into());
        }
    }
    if let Probe::Grpc { service } = &check.probe
        && service.len() > MAX_SERVICE_BYTES
    {
        return fail("service", format!("has more than {MAX_SERVICE_BYTES} bytes"));
    }
    let Probe::Http { method, path, host, expected_status, .. } = &check.probe else { return Ok(()) };
    if !is_token(method) {
        return fail("method", format!("'{method}' is not a method's name"));
    }
    if !path.starts_with('/') || path.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#') {
        return fail("path", format!("'{path}' is not a path, which begins with '/' and has no space"));
    }
    if let Some(host) = host
        && !is_host_and_port(host)
    {
        return fail("host", format!("'{host}' is not a host, or a host and a port"));
    }
    let outside = |range: &StatusRange| range.first < 100 || range.last > 599;
    match expected_status.iter().position(outside) {
        Some(i) => fail(&format!("expected_status[{i}]"), "statuses are from 100 to 599".into()),
        None => Ok(()),
    }
}
