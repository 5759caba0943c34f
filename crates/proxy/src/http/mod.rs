//! HTTP on the wire: the twelve steps of a request, done. What comes by HTTP/2 and HTTP/3 takes them too: `h2/`, `h3/`.
//!
//! *accept* is `worker/accept.rs`, *handshake* `tls/`. From there on:
//!
//! | step | where |
//! |---|---|
//! | read, keep-alive | `connection.rs`, `client.rs` |
//! | pin, route, admit | `plan.rs`; `scene.rs` for what Evenly answers itself then; `admit/` where a route has a guard |
//! | pick, connect, forward | `handle.rs` and `connect.rs`; `queue.rs` when all are full; `request.rs` renders the head, `upload.rs` brings the body, `kept.rs` what of it was kept, `trailers.rs` what comes behind one; `hedge.rs` does it twice at once |
//! | what came in early data (0-RTT) | `early.rs`, before *admit* |
//! | faults on purpose | `fault.rs`, before *pick* |
//! | mirror | `mirror.rs`: what the exchange lays aside, and the copy's own task |
//! | settle | `wait.rs`, `settle.rs`; `retry.rs` for another try; `answer.rs` for what Evenly says itself |
//! | relay | `relay.rs` for bodies, `compress.rs` for those that are compressed, `upgrade.rs` for tunnels |
//! | record | `record.rs` |
//! | what is different for calls of gRPC | `grpc.rs` |
//!
//! `handle.rs` only puts them in order. What is decided is decided in `evenly_core`.

mod admit;
mod answer;
mod bond;
mod client;
mod compress;
mod connect;
mod connection;
mod early;
mod exchange;
mod fault;
mod fields;
mod grpc;
mod h2;
mod h3;
mod handle;
mod handlers;
mod hedge;
mod kept;
mod linger;
mod mirror;
mod plan;
mod queue;
mod record;
mod relay;
mod request;
mod request_id;
mod retry;
mod scene;
mod settle;
mod trailers;
mod upgrade;
mod upload;
mod wait;

pub use admit::Passwords;
pub use connection::serve;
pub use grpc::status_in;
pub use h2::{Entered, H2Stream, Loss, SharedConnections, enter};
pub use h3::{H3Stream, VERSION as H3_VERSION, serve as serve_h3};
pub use handlers::Handlers;
pub use mirror::Tee;
pub use trailers::Trailers;
