//! Header compression (RFC 9204) without a dynamic table: `fixed` is the static one, `decoder` reads field sections,
//! `encoder` writes them.

mod decoder;
mod encoder;
mod fixed;

pub use decoder::Decoder;
pub use encoder::Section;
