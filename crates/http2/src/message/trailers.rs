//! Trailers become lines of text (RFC 9113 §8.1).

use super::Sink;
use super::kind::Kind;
use super::section::Rooms;
use crate::hpack::Field;

/// Trailers while they come.
pub struct Trailers<'r>(&'r mut Rooms);

impl<'r> Trailers<'r> {
    /// None yet.
    pub fn new(rooms: &'r mut Rooms) -> Self {
        rooms.clear();
        Self(rooms)
    }
}

impl Sink for Trailers<'_> {
    fn take(&mut self, field: &Field<'_>) -> Result<(), &'static str> {
        if !field.is_sound {
            return Err("invalid byte in a value");
        }
        match field.kind {
            Kind::Other => self.0.text.extend_from_slice(field.text),
            Kind::Connection => return Err("field for one connection"),
            Kind::Host | Kind::ContentLength | Kind::Cookie | Kind::Te | Kind::WebSocket => {
                // They would change what was decided by the head (RFC 9110 §6.5.1), and are left out.
            }
            _ => return Err("invalid field name in trailers"),
        }
        Ok(())
    }
}
