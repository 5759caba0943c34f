//! Header compression (RFC 7541).
//!
//! `decoder` reads header blocks, `table` is its dynamic table, `encoder` writes blocks, and has none.

mod decoder;
mod encoder;
mod fixed;
mod huffman;
mod table;

pub use decoder::{Block, CompressionError, Decoder, Field, integer as read_integer, string as read_string};
pub use encoder::{Coding, FIRST_OCTET, Name, write_field, write_index, write_integer, write_named};
