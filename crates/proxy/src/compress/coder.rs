//! The encoders, each behind the same two numbers: how much it took, how much it made.
//!
//! Windows and tables are small: a balancer compresses many answers at once, and beyond 256 KiB of history a page gains
//! little. What a coder takes, [`bytes`] says.

use brotli::enc::StandardAlloc;
use brotli::enc::encode::{BrotliEncoderOperation, BrotliEncoderParameter, BrotliEncoderStateStruct};
use evenly_core::document::{Algorithm, Level};
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd::stream::raw::{CParameter, Encoder, InBuffer, Operation, OutBuffer};

/// The binary logarithm of the window of zstd and br; gzip's is 2^15 by its format.
const WINDOW_LOG: u32 = 18;

/// The binary logarithm of the entries in each of zstd's tables at its thorough level. By itself that takes ten times the
/// memory, for two hundredths of the size.
const TABLE_LOG: u32 = 17;

/// An encoder of one answer at a time.
pub enum Coder {
    /// With a gzip header and trailer (RFC 1952).
    Gzip(Compress),
    /// RFC 7932.
    Br(Box<BrotliEncoderStateStruct<StandardAlloc>>),
    /// RFC 8878.
    Zstd(Encoder<'static>),
}

/// What is wanted of the encoder beyond taking input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// Nothing: what it holds back, it may.
    Take,
    /// Everything taken so far comes out, so that the receiver can read it.
    Flush,
    /// The end.
    Finish,
}

/// What one call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of input taken.
    pub taken: usize,
    /// Bytes of output made.
    pub made: usize,
    /// Whether the aim is reached. If not, there was no room for more output.
    pub is_reached: bool,
}

/// An encoder refused. None does, for any input; the answer is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused;

/// Bytes that an encoder takes at work: resident memory of sixteen of them after half a MiB each, rounded up.
pub const fn bytes(algorithm: Algorithm, level: Level) -> usize {
    let kib = match (algorithm, level) {
        (Algorithm::Gzip, _) => 384,
        (Algorithm::Br, Level::Fast) => 448,
        (Algorithm::Br, Level::Balanced) => 1280,
        (Algorithm::Br, Level::Best) => 3712,
        (Algorithm::Zstd, Level::Fast) => 768,
        (Algorithm::Zstd, Level::Balanced | Level::Best) => 1472,
    };
    kib << 10
}

impl Coder {
    /// A new encoder; `None` when there is no memory for it.
    pub fn new(algorithm: Algorithm, level: Level) -> Option<Self> {
        // What each encoder's authors call fast, the default and thorough; br's upper levels are for files that are
        // compressed once, not for answers that someone waits for.
        let (gzip, br, zstd) = match level {
            Level::Fast => (1, 1, 1),
            Level::Balanced => (5, 3, 3),
            Level::Best => (9, 5, 9),
        };
        Some(match algorithm {
            Algorithm::Gzip => Self::Gzip(Compress::new_gzip(Compression::new(gzip), 15)),
            Algorithm::Br => {
                let mut state = Box::new(BrotliEncoderStateStruct::new(StandardAlloc::default()));
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_QUALITY, br);
                state.set_parameter(BrotliEncoderParameter::BROTLI_PARAM_LGWIN, WINDOW_LOG);
                Self::Br(state)
            }
            Algorithm::Zstd => {
                let mut encoder = Encoder::new(zstd).ok()?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG)).ok()?;
                if level == Level::Best {
                    encoder.set_parameter(CParameter::HashLog(TABLE_LOG)).ok()?;
                    encoder.set_parameter(CParameter::ChainLog(TABLE_LOG)).ok()?;
                }
                Self::Zstd(encoder)
            }
        })
    }

    /// Makes it as new; false if it cannot be used again.
    pub fn reset(&mut self) -> bool {
        match self {
            Self::Gzip(encoder) => {
                encoder.reset();
                true
            }
            // It has no way back to its beginning.
            Self::Br(_) => false,
            Self::Zstd(encoder) => encoder.reinit().is_ok(),
        }
    }

    /// Takes of `input` and writes to `output` what it can.
    ///
    /// # Errors
    /// The encoder's state is broken.
    pub fn step(&mut self, input: &[u8], output: &mut [u8], aim: Aim) -> Result<Step, Refused> {
        match self {
            Self::Gzip(encoder) => gzip(encoder, input, output, aim),
            Self::Br(state) => br(state, input, output, aim),
            Self::Zstd(encoder) => zstd(encoder, input, output, aim).map_err(|_| Refused),
        }
    }
}

fn gzip(encoder: &mut Compress, input: &[u8], output: &mut [u8], aim: Aim) -> Result<Step, Refused> {
    let flush = match aim {
        Aim::Take => FlushCompress::None,
        Aim::Flush => FlushCompress::Sync,
        Aim::Finish => FlushCompress::Finish,
    };
    let before = (encoder.total_in(), encoder.total_out());
    let status = encoder.compress(input, output, flush).map_err(|_| Refused)?;
    let difference = |now: u64, before: u64| usize::try_from(now - before).map_err(|_| Refused);
    let taken = difference(encoder.total_in(), before.0)?;
    let made = difference(encoder.total_out(), before.1)?;
    let is_reached = match aim {
        Aim::Take => taken == input.len(),
        // zlib's manual: a flush is complete when room is left.
        Aim::Flush => taken == input.len() && made < output.len(),
        Aim::Finish => status == Status::StreamEnd,
    };
    Ok(Step { taken, made, is_reached })
}

fn br(
    state: &mut BrotliEncoderStateStruct<StandardAlloc>,
    input: &[u8],
    output: &mut [u8],
    aim: Aim,
) -> Result<Step, Refused> {
    let operation = match aim {
        Aim::Take => BrotliEncoderOperation::BROTLI_OPERATION_PROCESS,
        Aim::Flush => BrotliEncoderOperation::BROTLI_OPERATION_FLUSH,
        Aim::Finish => BrotliEncoderOperation::BROTLI_OPERATION_FINISH,
    };
    let (mut left, mut taken, mut room, mut made) = (input.len(), 0, output.len(), 0);
    let is_fine = state.compress_stream(
        operation,
        &mut left,
        input,
        &mut taken,
        &mut room,
        output,
        &mut made,
        &mut None,
        &mut |_, _, _, _| {},
    );
    let is_reached = match aim {
        Aim::Take | Aim::Flush => left == 0 && !state.has_more_output(),
        Aim::Finish => state.is_finished(),
    };
    if is_fine { Ok(Step { taken, made, is_reached }) } else { Err(Refused) }
}

fn zstd(encoder: &mut Encoder<'_>, input: &[u8], output: &mut [u8], aim: Aim) -> std::io::Result<Step> {
    let (mut from, mut into) = (InBuffer::around(input), OutBuffer::around(output));
    while from.pos() < input.len() {
        let before = (from.pos(), into.pos());
        encoder.run(&mut from, &mut into)?;
        if (from.pos(), into.pos()) == before {
            break;
        }
    }
    let is_taken = from.pos() == input.len();
    let is_reached = match aim {
        Aim::Take => is_taken,
        Aim::Flush => is_taken && encoder.flush(&mut into)? == 0,
        Aim::Finish => is_taken && encoder.finish(&mut into, true)? == 0,
    };
    Ok(Step { taken: from.pos(), made: into.pos(), is_reached })
}
