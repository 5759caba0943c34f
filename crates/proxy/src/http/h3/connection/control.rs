//! What is said beside requests: the client's unidirectional streams, our control stream, and the goodbye on it.

use super::{NEVER, Task};
use evenly_http3::{Code, Fate, write_goaway};
use quinn_proto::{ReadError, StreamId, VarInt};
use std::time::Duration;

/// What is read at once of a stream that carries no request.
const UNI_PIECE: usize = 1024;

/// How long requests are still taken that a client sent before it knew that the connection ends.
const LEAVE: Duration = Duration::from_secs(1);

/// The largest identifier that a client's stream for a request may have (RFC 9114 §5.2).
const LAST_STREAM: u64 = (1 << 62) - 4;

impl Task {
    /// Something has come on one of the client's unidirectional streams.
    pub(super) fn read_uni(&mut self, id: StreamId) {
        let Some(agreed) = &mut self.agreed else { return };
        let now = self.link.now();
        loop {
            let Some(uni) = agreed.unis.get_mut(&id) else { return };
            let mut quic = self.link.connection();
            let mut stream = quic.recv_stream(id);
            let Ok(mut chunks) = stream.read(true) else { return };
            let read = chunks.next(UNI_PIECE);
            // The client may send more; that is told with the next packet.
            let _ = chunks.finalize();
            drop(quic);
            let fate = match read {
                Ok(Some(chunk)) => agreed.mux.with(|connection| uni.take(connection, &chunk.bytes, now)),
                Err(ReadError::Blocked) => return,
                Ok(None) | Err(ReadError::Reset(_)) => {
                    let end = uni.end();
                    agreed.unis.remove(&id);
                    match end {
                        Ok(()) => return,
                        Err(error) => Err(error),
                    }
                }
            };
            match fate {
                Ok(Fate::Goes) => {}
                Ok(Fate::Stop(code)) => {
                    agreed.unis.remove(&id);
                    let code = VarInt::from_u64(code.0).unwrap_or_default();
                    let _ = self.link.connection().recv_stream(id).stop(code);
                    return;
                }
                Err(error) => return self.wrong(error),
            }
        }
    }

    /// Says on the control stream what there is room for.
    pub(super) fn say(&mut self) {
        let Some(agreed) = &mut self.agreed else { return };
        let mut quic = self.link.connection();
        while !agreed.saying.is_empty() {
            match quic.send_stream(agreed.control).write(&agreed.saying) {
                Ok(n) => drop(agreed.saying.drain(..n)),
                // It is told when there is room; and if there never is, nothing is lost but politeness.
                Err(_) => return,
            }
        }
    }

    /// Tells the client that the connection ends (RFC 9114 §5.2).
    pub(super) fn leave(&mut self) {
        let Some(agreed) = &mut self.agreed else { return };
        if agreed.leave == NEVER {
            agreed.leave = self.deadline.at(LEAVE);
            write_goaway(&mut agreed.saying, LAST_STREAM);
        } else if self.deadline.is_past(agreed.leave) && !agreed.is_decided {
            agreed.is_decided = true;
            write_goaway(&mut agreed.saying, agreed.next);
        }
        let is_over = agreed.is_decided && agreed.mux.is_done();
        self.say();
        if is_over {
            self.close(Code::NO_ERROR, "");
        }
    }
}
