//! What the status says of clients that speak HTTP/2 and HTTP/3, and of calls of gRPC.

use crate::metrics::WorkerStats;
use crate::metrics::counts::{H2Stats, H3Stats};
use crate::metrics::render::QUIC;
use evenly_core::document::Protocol;
use evenly_core::listener::Listener;
use evenly_core::pool::Pool;
use evenly_http2::Reason;
use evenly_http3::Code;
use serde_json::{Map, Value, json};

/// Of a listener that takes HTTP/2.
pub(super) fn http2(listener: &Listener, counted: &H2Stats) -> Value {
    if !listener.http2 || listener.protocol != Protocol::Http {
        return Value::Null;
    }
    let [streams, connections] = counted.failed.map(|failed| told(Reason::ALL.map(Reason::word), failed));
    json!({
        "connections": counted.opened,
        "ended_streams": streams,
        "ended_connections": connections,
    })
}

/// Of a listener that takes HTTP/3.
pub(super) fn http3(listener: &Listener, counted: &H3Stats) -> Value {
    if !listener.http3 {
        return Value::Null;
    }
    let words = || Code::ALL.iter().map(|code| code.word()).chain([QUIC]);
    let [streams, connections] = counted.failed.map(|failed| told(words(), failed));
    json!({
        "connections": counted.opened,
        "migrations": counted.migrated,
        "retries": counted.retried,
        "lost_packets": counted.lost.iter().sum::<u64>(),
        "ended_streams": streams,
        "ended_connections": connections,
    })
}

/// Of a pool that had calls of gRPC, by their status.
pub(super) fn grpc(pool: &Pool, stats: &WorkerStats) -> Value {
    let counted = stats.pools.get(pool.id.0).into_iter().flat_map(|pool| pool.grpc.iter());
    let calls: Map<String, Value> =
        counted.map(|(status, count)| (status.to_owned(), json!(count))).collect();
    if calls.is_empty() { Value::Null } else { Value::Object(calls) }
}

/// What there was any of.
fn told(
    words: impl IntoIterator<Item = &'static str>,
    counts: impl IntoIterator<Item = u64>,
) -> Map<String, Value> {
    let counted = words.into_iter().zip(counts).filter(|(_, count)| *count > 0);
    counted.map(|(word, count)| (word.to_owned(), json!(count))).collect()
}
