//! Whatever goes in comes out again, however it is cut, and a flush lets everything out.

use super::*;
use crate::worker::deadlines::{Deadlines, TICK};
use flate2::read::GzDecoder;
use proptest::prelude::*;
use std::io::Read;

const ALL: [Algorithm; 3] = [Algorithm::Gzip, Algorithm::Br, Algorithm::Zstd];
const LEVELS: [Level; 3] = [Level::Fast, Level::Balanced, Level::Best];

fn stage(algorithm: Algorithm, level: Level, is_eager: bool) -> Stage {
    let (coders, buffers) = (Rc::new(Coders::default()), Rc::new(Buffers::default()));
    Stage::new((&coders, &buffers), (algorithm, level), false, is_eager).unwrap()
}

fn buffer(stage: &Stage, bytes: &[u8]) -> Buffer {
    let mut buffer = stage.buffers.lend();
    buffer.room()[..bytes.len()].copy_from_slice(bytes);
    buffer.filled(bytes.len());
    buffer
}

fn made(stage: &mut Stage) -> Vec<u8> {
    let mut out = Vec::new();
    while stage.has_work() {
        if let Some(piece) = stage.make().unwrap() {
            out.extend_from_slice(&piece);
        }
    }
    out
}

/// What a client can read of `bytes`; the end may be missing.
fn decoded(algorithm: Algorithm, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut reader: Box<dyn Read> = match algorithm {
        Algorithm::Gzip => Box::new(GzDecoder::new(bytes)),
        Algorithm::Br => Box::new(brotli::Decompressor::new(bytes, 4096)),
        Algorithm::Zstd => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
    };
    let mut part = [0; 4096];
    while let Ok(n) = reader.read(&mut part) {
        if n == 0 {
            break;
        }
        out.extend_from_slice(&part[..n]);
    }
    out
}

/// Bytes that cannot be compressed, so that pieces come out larger than what went in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[test]
fn bodies_come_through_at_every_level() {
    let text = b"the quick brown fox jumps over the lazy dog. ".repeat(20_000);
    for (algorithm, level) in ALL.into_iter().flat_map(|algorithm| LEVELS.map(|level| (algorithm, level))) {
        for body in [&text[..], &noise(300_000), b"x", b""] {
            let mut stage = stage(algorithm, level, true);
            let mut out = Vec::new();
            for part in body.chunks(60_000) {
                stage.give(buffer(&stage, part), false);
                out.extend(made(&mut stage));
            }
            stage.give(stage.buffers.lend(), true);
            out.extend(made(&mut stage));
            assert!(
                stage.is_finished && decoded(algorithm, &out) == body,
                "{algorithm:?} {level:?} {}",
                body.len()
            );
            assert_eq!((stage.taken, stage.made), (body.len() as u64, out.len() as u64));
        }
    }
}

#[test]
fn a_pause_lets_everything_out() {
    let deadlines = Rc::new(Deadlines::default());
    let deadline = deadlines.slot();
    for algorithm in ALL {
        let mut stage = stage(algorithm, Level::Balanced, true);
        let mut out = Vec::new();
        for number in 0..50 {
            stage.give(buffer(&stage, format!("event {number}\n").as_bytes()), false);
            out.extend(made(&mut stage));
            assert!(stage.pauses(&deadline));
            out.extend(made(&mut stage));
            assert!(!stage.pauses(&deadline), "nothing is left to flush");
            let text = String::from_utf8(decoded(algorithm, &out)).unwrap();
            assert!(text.ends_with(&format!("event {number}\n")), "{algorithm:?} after {number}: {text:?}");
        }
    }
}

#[test]
fn a_body_of_known_length_is_flushed_only_when_the_pause_is_long() {
    let deadlines = Rc::new(Deadlines::default());
    let deadline = deadlines.slot();
    let mut stage = stage(Algorithm::Gzip, Level::Fast, false);
    stage.give(buffer(&stage, b"part"), false);
    made(&mut stage);
    assert!(!stage.pauses(&deadline));
    assert!(stage.due() < u64::MAX);
    for _ in 0..3 {
        deadlines.tick();
    }
    assert!(stage.pauses(&deadline), "after {TICK:?} or two");
}

#[test]
fn encoders_are_bounded_and_used_again() {
    let (coders, buffers) = (Rc::new(Coders::default()), Rc::new(Buffers::default()));
    let new = |algorithm, level| Stage::new((&coders, &buffers), (algorithm, level), true, true);
    for (algorithm, level) in ALL.into_iter().flat_map(|algorithm| LEVELS.map(|level| (algorithm, level))) {
        let all: Vec<_> = std::iter::from_fn(|| new(algorithm, level)).collect();
        let taken = all.len() * bytes(algorithm, level);
        assert_eq!(coders.lent.get(), taken);
        assert!(
            taken <= MOST_BYTES && taken + bytes(algorithm, level) > MOST_BYTES,
            "{algorithm:?} {level:?}"
        );
        drop(all);
        assert_eq!(coders.lent.get(), 0);
        assert!(coders.free.borrow().len() <= KEPT);
    }
    assert_eq!(coders.free.borrow().len(), KEPT);
    let mut stage = new(Algorithm::Gzip, Level::Fast).unwrap();
    assert_eq!(coders.free.borrow().len(), KEPT - 1);
    stage.give(buffer(&stage, b"again"), true);
    let out = made(&mut stage);
    let body = out.split(|byte| *byte == b'\n').nth(1).is_some();
    assert!(body && out.ends_with(b"0\r\n\r\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_cut_with_any_pauses_is_the_same_body(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..3000), any::<bool>()), 0..12),
        which in 0_usize..3,
    ) {
        let deadlines = Rc::new(Deadlines::default());
        let deadline = deadlines.slot();
        let mut stage = stage(ALL[which], Level::Fast, true);
        let (mut out, mut body) = (Vec::new(), Vec::new());
        for (part, pauses) in &parts {
            body.extend_from_slice(part);
            stage.give(buffer(&stage, part), false);
            out.extend(made(&mut stage));
            if *pauses && stage.pauses(&deadline) {
                out.extend(made(&mut stage));
            }
        }
        stage.give(stage.buffers.lend(), true);
        out.extend(made(&mut stage));
        prop_assert_eq!(decoded(ALL[which], &out), body);
    }
}
