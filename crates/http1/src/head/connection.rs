//! `Connection`: options for this connection and names of fields that are for it only (RFC 9110 §7.6.1).

use super::fields::Field;
use super::kind::{FieldKind, is};
use super::{Fault, is_token};

/// How many names of fields that the proxy does not know itself `Connection` may list. Real messages list one or two
/// (`HTTP2-Settings`); every name is compared with every field, so this bounds the work.
pub const MAX_OPTIONS: usize = 16;

/// What all `Connection` lines of a head say together.
#[derive(Debug, Default)]
pub(super) struct Options {
    /// `close`.
    pub close: bool,
    /// `keep-alive`.
    pub keep_alive: bool,
    /// `upgrade`.
    pub upgrade: bool,
    names_others: bool,
}

impl Options {
    /// Takes in one line's value.
    ///
    /// Naming `Host` or `Content-Length` is refused: dropping them would change what the next hop
    /// reads, so it can only be an attack. Naming any other field that [`FieldKind`] knows changes nothing: it is
    /// dropped anyway, or, like `Cookie` and the forwarding fields, is none of the client's to drop
    /// (CVE-2022-31813). What is not a token names nothing.
    #[inline]
    pub(super) fn read(&mut self, value: &[u8]) -> Result<(), Fault> {
        if is(value, b"keep-alive") {
            self.keep_alive = true;
            return Ok(());
        }
        value.split(|&byte| byte == b',').try_for_each(|option| self.read_option(option.trim_ascii()))
    }

    fn read_option(&mut self, option: &[u8]) -> Result<(), Fault> {
        match FieldKind::of(option) {
            FieldKind::KeepAlive => self.keep_alive = true,
            FieldKind::Upgrade => self.upgrade = true,
            FieldKind::Host => return Err(Fault::Syntax("Connection names Host")),
            FieldKind::ContentLength => return Err(Fault::Syntax("Connection names Content-Length")),
            FieldKind::Other if is(option, b"close") => self.close = true,
            FieldKind::Other => self.names_others |= is_token(option),
            _ => {}
        }
        Ok(())
    }

    /// Marks the fields that `Connection` names.
    #[inline]
    pub(super) fn mark_named(&self, fields: &mut [Field<'_>]) -> Result<(), Fault> {
        if self.names_others { mark_others(fields) } else { Ok(()) }
    }
}

#[cold]
#[inline(never)]
fn mark_others(fields: &mut [Field<'_>]) -> Result<(), Fault> {
    let mut names = [b"".as_slice(); MAX_OPTIONS];
    let mut count = 0;
    let connections = fields.iter().filter(|field| field.kind == FieldKind::Connection);
    let options =
        connections.flat_map(|field| field.value.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    for option in options.filter(|option| is_token(option) && FieldKind::of(option) == FieldKind::Other) {
        if is(option, b"close") {
            continue;
        }
        *names.get_mut(count).ok_or(Fault::Syntax("Connection names too many fields"))? = option;
        count += 1;
    }
    for field in fields.iter_mut().filter(|field| field.kind == FieldKind::Other) {
        let name = field.name.as_bytes();
        field.hop = names[..count].iter().any(|option| option.eq_ignore_ascii_case(name));
    }
    Ok(())
}
