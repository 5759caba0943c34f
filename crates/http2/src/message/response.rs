//! A response's fields become the text of a response head (RFC 9113 §8.3.2).

use super::exchange::Exchange;
use super::kind::Kind;
use super::section::Rooms;
use super::{Sink, append, content_length};
use crate::hpack::Field;
use evenly_http1::{Version, reason_phrase, write_status_line};

/// A response while its fields come.
pub struct Response<'r> {
    rooms: &'r mut Rooms,
    exchange: &'r Exchange,
    status: Option<u16>,
    has_begun: bool,
    content_length: Option<u64>,
}

/// What follows a response's head.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Another head: this one is informational.
    Interim,
    /// As much data, if it is known.
    Final { content_length: Option<u64> },
}

impl<'r> Response<'r> {
    pub fn new(rooms: &'r mut Rooms, exchange: &'r Exchange) -> Self {
        rooms.clear();
        Self { rooms, exchange, status: None, has_begun: false, content_length: None }
    }

    /// All fields are there: completes the text.
    ///
    /// # Errors
    /// Why the response is malformed.
    pub fn finish(mut self, is_end: bool) -> Result<Answer, &'static str> {
        let status = self.begin()?;
        let text = &mut self.rooms.text;
        if status < 200 {
            append(text, &[b"\r\n"]);
            return if is_end {
                Err("informational response that ends the stream")
            } else {
                Ok(Answer::Interim)
            };
        }
        let is_tunnel = (200..300).contains(&status)
            && (self.exchange.is_upgrade() || *self.exchange == Exchange::Connect);
        if is_tunnel {
            if self.content_length.is_some() {
                return Err("tunnel with content-length");
            }
            if self.exchange.is_upgrade() {
                append(text, &[b"connection: upgrade\r\nupgrade: ", self.exchange.protocol(), b"\r\n"]);
            }
            if let Exchange::WebSocket(accept) = self.exchange {
                append(text, &[b"sec-websocket-accept: ", &accept[..], b"\r\n"]);
            }
            append(text, &[b"\r\n"]);
            return Ok(Answer::Final { content_length: None });
        }
        // RFC 9110 §6.4.1. Their content-length, if any, is that of another response.
        let has_no_content = *self.exchange == Exchange::HeadOnly || matches!(status, 204 | 304);
        match self.content_length {
            _ if has_no_content => {}
            Some(length) if is_end && length > 0 => {
                return Err("content-length of a response without content");
            }
            Some(_) => {}
            None if is_end => append(text, &[b"content-length: 0\r\n"]),
            None => append(text, &[b"transfer-encoding: chunked\r\n"]),
        }
        append(text, &[b"\r\n"]);
        let content_length = if has_no_content { Some(0) } else { self.content_length };
        Ok(Answer::Final { content_length })
    }

    /// The status is known: writes the status line, once.
    fn begin(&mut self) -> Result<u16, &'static str> {
        let status = self.status.ok_or("response without :status")?;
        if !std::mem::replace(&mut self.has_begun, true) {
            let shown = if self.exchange.is_upgrade() && (200..300).contains(&status) { 101 } else { status };
            write_status_line(&mut self.rooms.text, Version::Http11, shown, reason_phrase(shown));
        }
        Ok(status)
    }

    fn take_status(&mut self, value: &[u8]) -> Result<(), &'static str> {
        if self.has_begun {
            return Err("pseudo-header behind a field");
        }
        let status = match value {
            [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9'] => {
                value.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'))
            }
            _ => return Err("invalid :status"),
        };
        // RFC 9113 §8.6: there is no 101.
        if status == 101 {
            return Err("101 in HTTP/2");
        }
        if self.status.replace(status).is_some() { Err("repeated pseudo-header") } else { Ok(()) }
    }
}

impl Sink for Response<'_> {
    #[inline]
    fn take(&mut self, field: &Field<'_>) -> Result<(), &'static str> {
        if !field.is_sound {
            return Err("invalid byte in a value");
        }
        match field.kind {
            Kind::Status => return self.take_status(field.value()),
            Kind::Method | Kind::Scheme | Kind::Authority | Kind::Path | Kind::Protocol => {
                return Err("a request's pseudo-header in a response");
            }
            Kind::Invalid => return Err("invalid field name"),
            Kind::Connection => return Err("field for one connection"),
            _ => {}
        }
        self.begin()?;
        match field.kind {
            Kind::ContentLength => {
                let before = self.content_length.replace(content_length(field.value())?);
                if before.is_some() {
                    return Err("repeated content-length");
                }
            }
            Kind::WebSocket if self.exchange.is_upgrade() => return Ok(()),
            _ => {}
        }
        self.rooms.text.extend_from_slice(field.text);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
