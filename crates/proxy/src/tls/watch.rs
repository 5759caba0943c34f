//! What is to be learned from a ClientHello before rustls has read it, where anybody wants to know.

use evenly_core::client_hello::{Hello, Progress, Reader};

/// Says which session it is to be, or leaves the one that there is.
pub type Choose<S> = Box<dyn FnOnce(&Hello) -> Option<S>>;

/// Reads a ClientHello along.
pub struct Watch<S> {
    reader: Reader,
    /// Whether its fingerprint is wanted.
    ja4: bool,
    choose: Option<Choose<S>>,
}

/// What was learned.
pub enum Learned<S> {
    /// Nothing yet; with `true`, nothing may be done with what came before the rest is there.
    Nothing { hold: bool },
    /// The fingerprint, and another session if it is to be another. Both are `None` for what is no ClientHello: what is wrong
    /// with it is rustls' to say.
    All { ja4: Option<Box<str>>, session: Option<S> },
}

impl<S> Watch<S> {
    /// For the fingerprint if `ja4`, and for `choose` if there is a choice; `None` if nobody wants to know anything.
    pub fn of(ja4: bool, choose: Option<Choose<S>>) -> Option<Box<Self>> {
        (ja4 || choose.is_some()).then(|| Box::new(Self { reader: Reader::default(), ja4, choose }))
    }

    /// Takes the next bytes. Not to be called again once it has learned all.
    pub fn feed(&mut self, bytes: &[u8]) -> Learned<S> {
        match self.reader.feed(bytes) {
            Ok(Progress::More) => Learned::Nothing { hold: self.choose.is_some() },
            Ok(Progress::Hello(hello)) => Learned::All {
                ja4: if self.ja4 { self.reader.ja4().map(Into::into) } else { None },
                session: self.choose.take().and_then(|choose| choose(&hello)),
            },
            Err(_) => Learned::All { ja4: None, session: None },
        }
    }
}
