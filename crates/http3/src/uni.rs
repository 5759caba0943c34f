//! The client's unidirectional streams (RFC 9114 §6.2, RFC 9204 §4.2): its control stream, its two for QPACK, and others,
//! which nobody needs.

use crate::connection::{Connection, setting};
use crate::error::{Code, Error};
use crate::frame::{Headers, Varint, kind, read_varint};
use evenly_http2::fields::Budget;

/// What SETTINGS and the other frames that are read may take. A client has about five settings of ten bytes.
const FRAME_BYTES: u64 = 1024;

/// Bytes of an integer of QPACK that nobody wants to know (RFC 9204 §4.1.1: 62 bits).
const INTEGER_BYTES: u8 = 10;

/// The state of one of them.
pub struct Uni {
    role: Role,
    number: Varint,
    headers: Headers,
    frame: Frame,
    /// What is missing of the frame's payload.
    left: u64,
    payload: Vec<u8>,
    has_settings: bool,
    /// Bytes that a QPACK instruction may still have.
    integer: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Its type is still to come.
    Unknown,
    Control,
    Encoder,
    Decoder,
    /// Of a type that means nothing here.
    Unwanted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Settings,
    Goaway,
    MaxPushId,
    Dropped,
}

/// What is to become of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// More of it is read.
    Goes,
    /// The client is told with this code that nobody reads it.
    Stop(Code),
}

impl Uni {
    /// A stream on which nothing came yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            role: Role::Unknown,
            number: Varint::default(),
            headers: Headers::default(),
            frame: Frame::Dropped,
            left: 0,
            payload: Vec::new(),
            has_settings: false,
            integer: 0,
        }
    }

    /// Takes what came on it.
    ///
    /// # Errors
    /// The client broke the rules; always the connection's end.
    pub fn take(&mut self, connection: &mut Connection, mut input: &[u8], now: u64) -> Result<Fate, Error> {
        if self.role == Role::Unknown {
            let Some(kind) = self.number.take(&mut input) else { return Ok(Fate::Goes) };
            self.begin(connection, kind, now)?;
        }
        match self.role {
            Role::Control => self.control(connection, input, now)?,
            Role::Encoder => encoder(input)?,
            Role::Decoder => self.decoder(input)?,
            Role::Unwanted | Role::Unknown => return Ok(Fate::Stop(Code::STREAM_CREATION_ERROR)),
        }
        Ok(Fate::Goes)
    }

    /// It has ended, or was reset.
    ///
    /// # Errors
    /// The connection cannot do without it.
    pub fn end(&self) -> Result<(), Error> {
        match self.role {
            Role::Control | Role::Encoder | Role::Decoder => {
                Err(Error::connection(Code::CLOSED_CRITICAL_STREAM, "a critical stream ended"))
            }
            Role::Unknown | Role::Unwanted => Ok(()),
        }
    }

    fn begin(&mut self, connection: &mut Connection, kind: u64, now: u64) -> Result<(), Error> {
        self.role = match kind {
            0x00 => Role::Control,
            0x01 => {
                let what = "a push stream, which only servers open";
                return Err(Error::connection(Code::STREAM_CREATION_ERROR, what));
            }
            0x02 => Role::Encoder,
            0x03 => Role::Decoder,
            _ => {
                self.role = Role::Unwanted;
                return connection.spend(Budget::UnknownFrames, now);
            }
        };
        let place = match self.role {
            Role::Control => 0,
            Role::Encoder => 1,
            _ => 2,
        };
        if std::mem::replace(&mut connection.critical[place], true) {
            return Err(Error::connection(Code::STREAM_CREATION_ERROR, "a second stream of its type"));
        }
        Ok(())
    }

    fn control(&mut self, connection: &mut Connection, mut input: &[u8], now: u64) -> Result<(), Error> {
        loop {
            if self.left > 0 {
                let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(input.len());
                if most == 0 {
                    return Ok(());
                }
                let (taken, rest) = input.split_at(most);
                input = rest;
                self.left -= taken.len() as u64;
                if self.frame != Frame::Dropped {
                    self.payload.extend_from_slice(taken);
                }
                if self.left > 0 {
                    return Ok(());
                }
                self.frame_read(connection)?;
                continue;
            }
            let Some((kind, length)) = self.headers.take(&mut input) else { return Ok(()) };
            self.frame(connection, kind, length, now)?;
            if length == 0 {
                self.frame_read(connection)?;
            }
        }
    }

    /// A frame begins (RFC 9114 §7.2, table 1).
    fn frame(&mut self, connection: &mut Connection, kind: u64, length: u64, now: u64) -> Result<(), Error> {
        let unexpected = |what| Err(Error::connection(Code::FRAME_UNEXPECTED, what));
        self.left = length;
        if !std::mem::replace(&mut self.has_settings, true) {
            if kind != kind::SETTINGS {
                let what = "a control stream that does not begin with SETTINGS";
                return Err(Error::connection(Code::MISSING_SETTINGS, what));
            }
            self.frame = Frame::Settings;
        } else {
            self.frame = match kind {
                kind::GOAWAY => Frame::Goaway,
                kind::MAX_PUSH_ID => Frame::MaxPushId,
                kind::CANCEL_PUSH => {
                    return Err(Error::connection(Code::ID_ERROR, "a push that was never promised"));
                }
                kind::SETTINGS => return unexpected("SETTINGS again"),
                kind::DATA | kind::HEADERS | kind::PUSH_PROMISE => {
                    return unexpected("a frame of messages on the control stream");
                }
                kind if kind::is_of_http2(kind) => return unexpected("a frame of HTTP/2"),
                _ => Frame::Dropped,
            };
            let is_unknown = self.frame == Frame::Dropped;
            connection.spend(if is_unknown { Budget::UnknownFrames } else { Budget::Settings }, now)?;
        }
        if self.frame != Frame::Dropped && length > FRAME_BYTES {
            return Err(Error::connection(Code::EXCESSIVE_LOAD, "a frame longer than anybody needs"));
        }
        Ok(())
    }

    /// All of a frame's payload is there.
    fn frame_read(&mut self, connection: &mut Connection) -> Result<(), Error> {
        let payload = std::mem::take(&mut self.payload);
        match self.frame {
            Frame::Dropped => Ok(()),
            Frame::Settings => settings(&payload),
            Frame::Goaway => {
                let push = one_number(&payload)?;
                if connection.goaway.is_some_and(|before| push > before) {
                    return Err(Error::connection(Code::ID_ERROR, "GOAWAY that takes one back"));
                }
                connection.goaway = Some(push);
                Ok(())
            }
            Frame::MaxPushId => {
                let most = one_number(&payload)?;
                if connection.most_pushes.is_some_and(|before| most < before) {
                    return Err(Error::connection(Code::ID_ERROR, "MAX_PUSH_ID that takes one back"));
                }
                connection.most_pushes = Some(most);
                Ok(())
            }
        }
    }

    /// The client's decoder has nothing to say but that it gave a stream up (RFC 9204 §4.4).
    fn decoder(&mut self, input: &[u8]) -> Result<(), Error> {
        let fail = |what| Err(Error::connection(Code::QPACK_DECODER_STREAM_ERROR, what));
        for &byte in input {
            if self.integer > 0 {
                self.integer = if byte & 0x80 == 0 { 0 } else { self.integer - 1 };
                if byte & 0x80 != 0 && self.integer == 0 {
                    return fail("a number too large");
                }
                continue;
            }
            match byte {
                0x40..0x7f => {}
                0x7f => self.integer = INTEGER_BYTES,
                _ => return fail("an acknowledgement of what was never sent"),
            }
        }
        Ok(())
    }
}

impl Default for Uni {
    fn default() -> Self {
        Self::new()
    }
}

/// The client's encoder may only say that it uses no table (RFC 9204 §4.3.1).
fn encoder(input: &[u8]) -> Result<(), Error> {
    const CAPACITY_0: u8 = 0x20;
    if input.iter().all(|&byte| byte == CAPACITY_0) {
        return Ok(());
    }
    Err(Error::connection(Code::QPACK_ENCODER_STREAM_ERROR, "an instruction for a table of size 0"))
}

fn settings(mut payload: &[u8]) -> Result<(), Error> {
    let fail = |what| Err(Error::connection(Code::SETTINGS_ERROR, what));
    let mut seen = Vec::new();
    while !payload.is_empty() {
        let identifier = read_varint(&mut payload)?;
        let value = read_varint(&mut payload)?;
        if setting::is_of_http2(identifier) {
            return fail("a setting of HTTP/2");
        }
        if seen.contains(&identifier) {
            return fail("a setting twice");
        }
        seen.push(identifier);
        if identifier == setting::ENABLE_CONNECT_PROTOCOL && value > 1 {
            return fail("ENABLE_CONNECT_PROTOCOL above 1");
        }
    }
    Ok(())
}

/// A payload that is one number and nothing else.
fn one_number(mut payload: &[u8]) -> Result<u64, Error> {
    let number = read_varint(&mut payload)?;
    if payload.is_empty() {
        Ok(number)
    } else {
        Err(Error::connection(Code::FRAME_ERROR, "a frame longer than its number"))
    }
}

#[cfg(test)]
mod tests;
