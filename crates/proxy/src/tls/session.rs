//! One TLS connection, of a client or to an endpoint: opens the records that come and seals those that go.
//!
//! An idle session owns no buffer. What is read from the socket goes into a lent one, is opened there and copied to where
//! the reader wants it; only the beginning of a record that is not all there yet is kept, in a box of its size. What is
//! written is sealed into a lent buffer that goes home when the socket has taken it.

mod inward;

use super::early::Early;
use super::facts::Facts;
use super::resolver::asked;
use super::side::Side;
use crate::io::poll_receive;
use crate::worker::buffers::{Buffer, Buffers, MOST_BYTES, SEALED_BYTES};
use evenly_core::client_hello::{Progress, Reader};
use evenly_core::client_tls::ClientTls;
use rustls::Error;
use rustls::ProtocolVersion;
use rustls::client::UnbufferedClientConnection;
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus, WriteTraffic};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// A session, under way or not yet agreed on; `S` is our side of it.
pub struct Session<S> {
    socket: TcpStream,
    tls: S,
    buffers: Rc<Buffers>,
    /// The beginning of a record whose end did not come yet.
    partial: Box<[u8]>,
    /// Opened, and not yet read.
    opened: Option<Buffer>,
    /// Sealed, and not yet taken by the socket.
    sealed: Option<Buffer>,
    /// Bytes of the caller that are in `sealed`; it learns that they are written when all of it is.
    accepted: usize,
    /// The peer has said that nothing more comes.
    is_ended: bool,
    /// We have said so.
    is_closed: bool,
    facts: Rc<Facts>,
    /// Reads the ClientHello along, where its fingerprint is wanted.
    hello: Option<Box<Reader>>,
    /// What is in `partial` was looked at, and nothing more has to come for it to be opened.
    is_held: bool,
    /// Early data has come, and the end of the handshake has not.
    is_early: bool,
}

/// What opening records came to.
#[derive(PartialEq, Eq)]
enum Opened {
    /// All that is there is opened; more has to come.
    All,
    /// The peer ended it.
    Ended,
}

impl Session<UnbufferedClientConnection> {
    /// Says the first word, which a client has.
    pub fn begin(&mut self) -> Result<(), HandshakeError> {
        let (nothing, mut early) = (self.buffers.lend(), self.buffers.lend());
        self.open(nothing, &mut early).map(|_| ()).map_err(HandshakeError::Tls)
    }

    /// Ends it without waiting for anything, for one that is given up: the endpoint is told if it takes it now. `last` stands
    /// before the end, or nothing is said; if something was being written, that is the beginning of `last`.
    pub fn leave(&mut self, last: &[u8]) {
        let last = last.get(self.accepted..).unwrap_or_default();
        let is_said = last.is_empty() || self.seal(last, &[]).is_ok_and(|sealed| sealed == last.len());
        if is_said
            && !self.is_closed
            && self.write(|mut traffic, room| traffic.queue_close_notify(room)).is_ok()
        {
            self.flush();
        }
    }
}

impl<S: Side> Session<S> {
    /// A session on which nothing was said yet.
    pub fn new(socket: TcpStream, tls: S, buffers: Rc<Buffers>) -> Self {
        Self {
            socket,
            tls,
            buffers,
            partial: Box::default(),
            opened: None,
            sealed: None,
            accepted: 0,
            is_ended: false,
            is_closed: false,
            facts: Rc::default(),
            hello: None,
            is_held: false,
            is_early: false,
        }
    }

    /// The socket under it.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// What was agreed on.
    pub fn facts(&self) -> &Rc<Facts> {
        &self.facts
    }

    /// Whether something came that nobody has read.
    pub fn has_input(&self) -> bool {
        self.opened.is_some() || !self.partial.is_empty()
    }

    /// Goes on with the handshake; ready when it is over, or when early data has come: then its end comes while that is
    /// served. After a failure there may be an alert to send: see [`Session::flush`].
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), HandshakeError>> {
        while self.tls.is_handshaking() {
            ready!(self.poll_flush(cx)).map_err(HandshakeError::Io)?;
            let kept = if self.is_held { 0 } else { self.partial.len() };
            let incoming = ready!(self.poll_incoming(cx)).map_err(HandshakeError::Io)?;
            self.read_along(&incoming[kept..]);
            // What comes behind the handshake's end is the first of what the peer has to say.
            let mut early = self.buffers.lend();
            let opened = self.open(incoming, &mut early);
            self.put_by(early);
            if let Some(name) = asked() {
                self.facts = Rc::new(Facts { name: Some(name), ..self.facts.known() });
            }
            opened.map_err(HandshakeError::Tls)?;
            if self.opened.is_some() && self.tls.is_handshaking() {
                self.is_early = true;
                let early = Some(Early::begin());
                self.facts = Rc::new(Facts { early, ..self.facts.known().agreed(&self.tls) });
                // Our part of the handshake, for which the client waits; if it cannot take it now, it goes with the response.
                let _ = self.poll_flush(cx).map_err(HandshakeError::Io)?;
                return Poll::Ready(Ok(()));
            }
            if self.is_ended && self.tls.is_handshaking() {
                return Poll::Ready(Err(HandshakeError::Io(io::ErrorKind::UnexpectedEof.into())));
            }
        }
        self.facts = Rc::new(self.facts.known().agreed(&self.tls));
        if self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
            // Its peer waits for the last word; that of 1.3 does not, so tickets leave with the first response, and a
            // client's end of the handshake with its first request.
            ready!(self.poll_flush(cx)).map_err(HandshakeError::Io)?;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes what came of the ClientHello, which is over when the first of our records is sealed.
    fn read_along(&mut self, bytes: &[u8]) {
        let Some(reader) = &mut self.hello else { return };
        match reader.feed(bytes) {
            Ok(Progress::More) => return,
            Ok(Progress::Hello(_)) => {
                let client = ClientTls { ja4: reader.ja4().map(Into::into), ..ClientTls::default() };
                self.facts = Rc::new(Facts { client, ..Facts::default() });
            }
            // What is wrong with it is rustls' to say.
            Err(_) => {}
        }
        self.hello = None;
    }

    /// Sends what there is, without waiting.
    pub fn flush(&mut self) {
        if let Some(sealed) = &self.sealed {
            // An alert to somebody who does not take it is lost.
            let _ = self.socket.try_write(sealed);
        }
    }

    /// Reads into what room `into` has; 0 is the end that the peer has announced. A connection that just breaks off is
    /// an error, because then what came may not be all (RFC 8446 §6.1).
    pub fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut Buffer) -> Poll<io::Result<usize>> {
        if let Some(opened) = &mut self.opened {
            let n = into.take_from(opened);
            if opened.is_empty() {
                self.opened = None;
            }
            return Poll::Ready(Ok(n));
        }
        let before = into.len();
        while into.len() == before && !self.is_ended {
            let Poll::Ready(incoming) = self.poll_incoming(cx) else {
                // Tickets and answers to key updates, for which no response has been there to go with.
                let _ = self.poll_flush(cx)?;
                return Poll::Pending;
            };
            self.open(incoming?, into).map_err(broken)?;
            if self.is_early {
                self.confirm();
            }
        }
        Poll::Ready(Ok(into.len() - before))
    }

    /// Takes note if the handshake is over that early data had come before.
    fn confirm(&mut self) {
        self.is_early = self.tls.is_handshaking();
        if let (false, Some(early)) = (self.is_early, &self.facts.early) {
            early.end();
        }
    }

    /// Writes some of `first`, then of `second`; ready when the socket has taken all records that hold it. Once it was
    /// not ready, it has to be called with the same bytes again.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.accepted == 0 {
            // Tickets of a handshake that just ended leave room for a response behind them; anything else goes first.
            let needed = first.len() + second.len() + SEALED_BYTES - MOST_BYTES;
            if self.sealed.as_mut().is_some_and(|sealed| sealed.whole_room().len() < needed) {
                ready!(self.poll_flush(cx))?;
            }
            self.accepted = self.seal(first, second)?;
        }
        ready!(self.poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.accepted)))
    }

    /// Tells the peer that nothing more comes, and closes the sending side.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_closed {
            // It may come behind what is still being sent, which nobody else will wait for.
            ready!(self.poll_flush(cx))?;
            self.write(|mut traffic, room| traffic.queue_close_notify(room))?;
            self.is_closed = true;
        }
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }

    /// Reads what comes on the socket behind what is kept of a record.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Buffer>> {
        let mut incoming = self.buffers.lend();
        let kept = self.partial.len();
        incoming.room()[..kept].copy_from_slice(&self.partial);
        incoming.filled(kept);
        if incoming.room().is_empty() {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        if std::mem::take(&mut self.is_held) {
            self.partial = Box::default();
            return Poll::Ready(Ok(incoming));
        }
        match ready!(poll_receive(&mut self.socket, cx, &mut incoming))? {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            _ => {
                self.partial = Box::default();
                Poll::Ready(Ok(incoming))
            }
        }
    }

    /// Opens all records in `incoming`. What `into` has no room for is kept.
    fn open(&mut self, mut incoming: Buffer, into: &mut Buffer) -> Result<Opened, Error> {
        let outcome = loop {
            let UnbufferedStatus { mut discard, state } = self.tls.process(&mut incoming);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        discard += record.discard;
                        let n = into.fill(record.payload);
                        if n < record.payload.len() {
                            self.opened.get_or_insert_with(|| self.buffers.lend()).fill(&record.payload[n..]);
                        }
                    }
                }
                // There is room for all of it, as it is at most so many bytes ([`super::early::EARLY_BYTES`]).
                Ok(ConnectionState::ReadEarlyData(early)) => {
                    S::read_early(early, |record| {
                        into.fill(record);
                    });
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    let sealed = self.sealed.get_or_insert_with(|| self.buffers.lend());
                    match data.encode(sealed.whole_room()) {
                        Ok(n) => sealed.filled_whole(n),
                        // It makes us answer more than we can send: key updates without end.
                        Err(_) => {
                            break Err(Error::PeerMisbehaved(
                                rustls::PeerMisbehaved::TooManyKeyUpdateRequests,
                            ));
                        }
                    }
                }
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                    incoming.consume(discard);
                    break Ok(Opened::All);
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    self.is_ended = true;
                    // Whatever stands behind the end is nothing (RFC 8446 §6.1).
                    return Ok(Opened::Ended);
                }
                // There is no other state yet.
                Ok(_) => break Err(Error::HandshakeNotComplete),
                Err(error) => {
                    incoming.consume(discard);
                    if !matches!(error, Error::AlertReceived(_)) {
                        self.take_alert(&mut incoming);
                    }
                    break Err(error);
                }
            }
            incoming.consume(discard);
        };
        if outcome.is_ok() && !incoming.is_empty() {
            self.partial = Box::from(&*incoming);
        }
        outcome
    }

    /// After a failure: what the peer is to be told of it, behind what was to be told before. Nothing follows an alert,
    /// and rustls must not be asked for more, as it would look at the rest of what came.
    fn take_alert(&mut self, incoming: &mut Buffer) {
        let sealed = self.sealed.get_or_insert_with(|| self.buffers.lend());
        loop {
            let UnbufferedStatus { state, .. } = self.tls.process(incoming);
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            let room = sealed.whole_room();
            let Ok(n) = data.encode(room) else { return };
            let is_last = is_alert(&room[..n]);
            sealed.filled_whole(n);
            if is_last {
                return;
            }
        }
    }

    /// Keeps what was opened before anybody has read.
    fn put_by(&mut self, opened: Buffer) {
        if !opened.is_empty() {
            self.opened = Some(opened);
        }
    }

    /// Seals as much of `first` and `second` as one buffer holds, behind what is sealed already. How much that is.
    fn seal(&mut self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let joined;
        let bytes = if second.is_empty() || first.len() >= MOST_BYTES {
            &first[..first.len().min(MOST_BYTES)]
        } else {
            // One record for a head and a small body: copying is cheaper than another tag, and another record to send.
            let mut both = self.buffers.lend();
            both.fill(first);
            both.fill(second);
            joined = both;
            &joined[..]
        };
        self.write(|mut traffic, room| traffic.encrypt(bytes, room))?;
        Ok(bytes.len())
    }

    /// Has `write` seal something, behind what is sealed already.
    fn write(
        &mut self,
        write: impl FnOnce(WriteTraffic<'_, S::Data>, &mut [u8]) -> Result<usize, EncryptError>,
    ) -> io::Result<()> {
        let sealed = self.sealed.get_or_insert_with(|| self.buffers.lend());
        loop {
            // Every record was opened when it came, so nothing can be in the way but the beginning of one.
            let UnbufferedStatus { state, .. } = self.tls.process(&mut self.partial);
            match state.map_err(broken)? {
                ConnectionState::WriteTraffic(traffic) => {
                    let n = write(traffic, sealed.whole_room()).map_err(|_| io::ErrorKind::InvalidData)?;
                    sealed.filled_whole(n);
                    return Ok(());
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let n = data.encode(sealed.whole_room()).map_err(|_| io::ErrorKind::InvalidData)?;
                    sealed.filled_whole(n);
                }
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.is_ended = true,
                _ => return Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    /// Gives what is sealed to the socket.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(sealed) = &mut self.sealed {
            let n = ready!(Pin::new(&mut self.socket).poll_write(cx, sealed))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            sealed.consume(n);
            if sealed.is_empty() {
                self.sealed = None;
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether a record is an alert: by its type or, where TLS 1.3 hides that, by its length, which nothing else has (RFC 8446
/// §5.1 and §6: five bytes before, and two of alert, one of type and sixteen of tag).
fn is_alert(record: &[u8]) -> bool {
    const ALERT: u8 = 21;
    const SEALED: u8 = 23;
    matches!((record.first(), record.len()), (Some(&ALERT), _) | (Some(&SEALED), 24))
}

/// Why a handshake came to nothing.
#[derive(Debug)]
pub enum HandshakeError {
    /// What was said.
    Tls(Error),
    /// The connection.
    Io(io::Error),
}

fn broken(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
