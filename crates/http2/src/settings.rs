//! SETTINGS (RFC 9113 §6.5; RFC 8441 §3; RFC 9218 §2.1).

use crate::connection::fault::{Fault, broken};
use crate::error::{ErrorCode, Reason};
use crate::frame::{MAX_31, MAX_PAYLOAD, flag, header, kind};
use crate::limits::Limits;

/// The window that streams begin with until SETTINGS say otherwise (RFC 9113 §6.9.2).
pub const FIRST_WINDOW: u32 = 65_535;

/// Streams that a client opens before it knows the server's limit: the least that RFC 9113 §6.5.2 recommends to grant.
const STREAMS_AT_FIRST: u32 = 100;

/// Identifiers.
mod id {
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;
    pub const NO_RFC7540_PRIORITIES: u16 = 9;
}

/// What the peer has said. Its table size needs no memory: the encoder has no table. Its limit on field sections is
/// advice (RFC 9113 §6.5.2), and what is too long for it, it will refuse by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSettings {
    /// A first SETTINGS frame has come.
    pub are_known: bool,
    pub window: u32,
    pub streams: u32,
    pub extended_connect: bool,
}

impl PeerSettings {
    pub const FIRST: Self =
        Self { are_known: false, window: FIRST_WINDOW, streams: STREAMS_AT_FIRST, extended_connect: false };

    /// Takes in a payload, a multiple of six bytes.
    pub fn apply(&mut self, payload: &[u8], is_server: bool) -> Result<(), Fault> {
        if !self.are_known {
            // From now on what is not said is not limited.
            (self.are_known, self.streams) = (true, u32::MAX);
        }
        for &[high, low, ref value @ ..] in payload.as_chunks::<6>().0 {
            let value = u32::from_be_bytes(*value);
            match u16::from_be_bytes([high, low]) {
                id::ENABLE_PUSH if value > 1 || (value == 1 && !is_server) => {
                    return Err(invalid("invalid ENABLE_PUSH"));
                }
                id::MAX_CONCURRENT_STREAMS => self.streams = value,
                id::INITIAL_WINDOW_SIZE if value > MAX_31 => {
                    let what = "initial window beyond 2^31 - 1";
                    return Err(broken(ErrorCode::FLOW_CONTROL_ERROR, Reason::FlowControl, what));
                }
                id::INITIAL_WINDOW_SIZE => self.window = value,
                // Frames longer than what everybody takes are never sent.
                id::MAX_FRAME_SIZE if !(16_384..=0xff_ffff).contains(&value) => {
                    return Err(invalid("invalid MAX_FRAME_SIZE"));
                }
                id::ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.extended_connect) => {
                    return Err(invalid("invalid ENABLE_CONNECT_PROTOCOL"));
                }
                id::ENABLE_CONNECT_PROTOCOL => self.extended_connect = value == 1,
                _ => {}
            }
        }
        Ok(())
    }
}

fn invalid(what: &'static str) -> Fault {
    broken(ErrorCode::PROTOCOL_ERROR, Reason::Protocol, what)
}

/// Appends this side's SETTINGS.
pub fn write(out: &mut Vec<u8>, limits: &Limits, is_server: bool) {
    const { assert!(MAX_PAYLOAD == 16_384, "MAX_FRAME_SIZE would have to be announced") };
    let window = (id::INITIAL_WINDOW_SIZE, limits.stream_window.min(MAX_31));
    let list = (id::MAX_HEADER_LIST_SIZE, limits.head_bytes);
    let server = [
        (id::MAX_CONCURRENT_STREAMS, limits.streams),
        window,
        list,
        (id::ENABLE_CONNECT_PROTOCOL, u32::from(limits.extended_connect)),
        // Priorities of RFC 7540 are ignored; clients that know can spare them.
        (id::NO_RFC7540_PRIORITIES, 1),
    ];
    let client = [(id::ENABLE_PUSH, 0), window, list];
    let settings = if is_server { &server[..] } else { &client[..] };
    out.extend_from_slice(&header(6 * settings.len(), kind::SETTINGS, flag::NONE, 0));
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}
