//! Header compression (RFC 7541).
//!
//! `decoder` reads header blocks, `table` is its dynamic table, `encoder` writes blocks, and has none.

mod decoder;
mod encoder;
mod fixed;
mod huffman;
mod table;

pub use decoder::{Block, Decoder, Field};
pub use encoder::{FIRST_OCTET, Name, write_field, write_index, write_named, write_status};
