//! Reads a field section under its limits.

use super::Sink;
use crate::error::{ConnectionError, ErrorCode, Reason};
use crate::hpack::{Block, Decoder};
use crate::limits::Limits;

/// What a field counts besides its name and its value (RFC 9113 §6.5.2, RFC 7541 §4.1).
const FIELD_OVERHEAD: usize = 32;
/// What a line of text has besides them: a colon, a space, and a line end.
const PUNCTUATION: usize = 4;
/// How many times the limit a section may have before the connection is closed. Up to there decoding goes on without
/// storing, as the compression state must stay right; a block can say a lot more in a few bytes.
const BOMB: usize = 4;

/// Memory that sections are read into, used again for each.
#[derive(Default)]
pub struct Rooms {
    /// The text that comes of it.
    pub text: Vec<u8>,
    /// Pseudo-headers, until all are there.
    pub(super) pseudo: Vec<u8>,
    /// Crumbs of cookies, until all are there.
    pub(super) cookies: Vec<u8>,
}

impl Rooms {
    /// The text of the section that was read last.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Makes room for the next section.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.pseudo.clear();
        self.cookies.clear();
    }
}

/// Why a section cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It says nothing, or two things; says what.
    Malformed(&'static str),
    /// It is larger than the limits.
    TooLarge,
}

/// What was read.
pub struct Section {
    /// What it counts against the limits.
    pub bytes: usize,
    /// Why it cannot be used.
    pub refusal: Option<Refusal>,
}

/// Reads all of a block, also if its message is refused on the way. Fields beyond the limits are not handed on.
///
/// # Errors
/// The block cannot be decoded, or holds far too much.
pub fn read_section(
    decoder: &mut Decoder,
    block: &[u8],
    limits: &Limits,
    sink: &mut impl Sink,
) -> Result<Section, ConnectionError> {
    let (most_bytes, most_fields) = (limits.head_bytes as usize, limits.fields as usize);
    let mut block = Block::new(block);
    let (mut bytes, mut fields, mut refusal) = (0, 0, None);
    loop {
        let field = decoder.next(&mut block).map_err(|error| ConnectionError {
            code: ErrorCode::COMPRESSION_ERROR,
            reason: Reason::Compression,
            what: error.0,
        })?;
        let Some(field) = field else { return Ok(Section { bytes, refusal }) };
        bytes += field.text.len() - PUNCTUATION + FIELD_OVERHEAD;
        fields += 1;
        if bytes > most_bytes || fields > most_fields {
            refusal = refusal.or(Some(Refusal::TooLarge));
            if bytes > BOMB * most_bytes || fields > BOMB * most_fields {
                return Err(ConnectionError {
                    code: ErrorCode::ENHANCE_YOUR_CALM,
                    reason: Reason::HeaderBomb,
                    what: "a field section far beyond the limits",
                });
            }
        }
        if refusal.is_none() {
            refusal = sink.take(&field).err().map(Refusal::Malformed);
        }
    }
}
