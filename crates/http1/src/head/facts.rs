//! What the fields of a head say to a proxy, gathered line by line.

use super::Fault;
use super::connection::Options;
use super::kind::FieldKind;

/// What is known once all lines are read. What both sides refuse alike is refused here.
#[derive(Debug, Default)]
pub(super) struct Facts<'b> {
    /// `Host`, not yet checked.
    pub host: Option<&'b [u8]>,
    /// `Content-Length`.
    pub content_length: Option<u64>,
    /// `Transfer-Encoding`, not yet checked.
    pub transfer_encoding: Option<&'b [u8]>,
    /// `Connection`, all lines together.
    pub options: Options,
    /// `Expect: 100-continue` is there.
    pub expects_continue: bool,
    /// `Expect` asks for something else.
    pub expects_other: bool,
    upgrade: Option<&'b [u8]>,
    upgrade_is_repeated: bool,
}

impl<'b> Facts<'b> {
    /// Takes in one line.
    #[inline(never)]
    pub(super) fn note(&mut self, kind: FieldKind, value: &'b [u8]) -> Result<(), Fault> {
        match kind {
            FieldKind::Host => set_once(&mut self.host, value, "repeated Host"),
            FieldKind::ContentLength => {
                let length = parse_length(value).ok_or(Fault::Syntax("invalid Content-Length"))?;
                set_once(&mut self.content_length, length, "repeated Content-Length")
            }
            FieldKind::TransferEncoding => {
                set_once(&mut self.transfer_encoding, value, "repeated Transfer-Encoding")
            }
            FieldKind::Connection => self.options.read(value),
            FieldKind::Upgrade => {
                self.upgrade_is_repeated |= self.upgrade.replace(value).is_some();
                Ok(())
            }
            FieldKind::Expect => {
                let known = value.eq_ignore_ascii_case(b"100-continue");
                self.expects_continue |= known;
                self.expects_other |= !known;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// `Content-Length` and `Transfer-Encoding` in one message are how requests are smuggled (RFC 9112 §6.1, §11.2).
    pub(super) fn check_framing(&self) -> Result<(), Fault> {
        match (self.content_length, self.transfer_encoding) {
            (Some(_), Some(_)) => Err(Fault::Syntax("Content-Length with Transfer-Encoding")),
            _ => Ok(()),
        }
    }

    /// What `Upgrade` offers or accepts, provided that `Connection` names it. An offer over several lines cannot be
    /// passed on as one value and counts as none; a server may ignore any (RFC 9110 §7.8).
    pub(super) fn upgrade(&self) -> Option<&'b [u8]> {
        self.upgrade.filter(|_| self.options.upgrade && !self.upgrade_is_repeated)
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T, fault: &'static str) -> Result<(), Fault> {
    if slot.replace(value).is_some() { Err(Fault::Syntax(fault)) } else { Ok(()) }
}

/// `1*DIGIT` up to 2^63 - 1, so that no peer's signed arithmetic overflows.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    let length = value.iter().try_fold(0u64, |length, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })?;
    (length <= u64::MAX / 2).then_some(length)
}

/// What a `Transfer-Encoding` value asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Exactly `chunked`, in any case.
    Chunked,
    /// Registered compressions, then `chunked`: well-formed, but not implemented (501, RFC 9112 §6.1).
    Compressed,
    /// Anything else; where the body ends is anybody's guess (RFC 9112 §6.3).
    Ambiguous,
}

impl Coding {
    /// Reads a value without the white space around it.
    pub(super) fn of(value: &[u8]) -> Self {
        if value.eq_ignore_ascii_case(b"chunked") {
            return Self::Chunked;
        }
        let mut codings = value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        let ends_chunked = codings.next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked"));
        let known = |coding: &[u8]| COMPRESSIONS.iter().any(|known| known.eq_ignore_ascii_case(coding));
        if ends_chunked && codings.all(known) { Self::Compressed } else { Self::Ambiguous }
    }
}

/// The transfer codings that IANA registers besides `chunked`, with their old spellings.
const COMPRESSIONS: [&[u8]; 5] = [b"gzip", b"x-gzip", b"deflate", b"compress", b"x-compress"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_numbers_are_lengths() {
        for (value, length) in [
            ("0", Some(0)),
            ("007", Some(7)),
            ("9223372036854775807", Some(i64::MAX.cast_unsigned())),
            ("9223372036854775808", None),
            ("18446744073709551617", None),
            ("99999999999999999999999999", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1,1", None),
            ("1 1", None),
            ("0x10", None),
            ("1e3", None),
            ("1_0", None),
        ] {
            assert_eq!(parse_length(value.as_bytes()), length, "{value:?}");
        }
    }

    #[test]
    fn only_chunked_alone_is_chunked() {
        for (value, coding) in [
            ("chunked", Coding::Chunked),
            ("CHUNKED", Coding::Chunked),
            ("gzip, chunked", Coding::Compressed),
            ("deflate,\tx-gzip ,Chunked", Coding::Compressed),
            ("gzip", Coding::Ambiguous),
            ("chunked, gzip", Coding::Ambiguous),
            ("chunked, chunked", Coding::Ambiguous),
            ("chunked, identity", Coding::Ambiguous),
            ("identity, chunked", Coding::Ambiguous),
            ("identity", Coding::Ambiguous),
            ("xchunked", Coding::Ambiguous),
            ("chunkedx", Coding::Ambiguous),
            ("\"chunked\"", Coding::Ambiguous),
            ("chunked;q=1", Coding::Ambiguous),
            (", chunked", Coding::Ambiguous),
            ("chunked,", Coding::Ambiguous),
            ("", Coding::Ambiguous),
        ] {
            assert_eq!(Coding::of(value.as_bytes()), coding, "{value:?}");
        }
    }
}
