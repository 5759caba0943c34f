//! A connection that a check has left for the next one.

use super::Connection;
use crate::io::is_quiet;
use crate::stream::Stream;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// How many connections may be kept.
pub(in crate::service) struct Room {
    kept: Cell<u64>,
    most: u64,
}

/// A connection between two checks.
pub(in crate::service) struct Kept {
    connection: Option<Connection>,
    room: Rc<Room>,
}

impl Room {
    /// For `most` connections.
    pub fn new(most: u64) -> Rc<Self> {
        Rc::new(Self { kept: Cell::new(0), most })
    }

    /// Keeps a connection, if there is room for it.
    pub fn keep(self: &Rc<Self>, connection: Connection) -> Option<Kept> {
        if self.kept.get() >= self.most {
            // With a reset, as all that serve one check only.
            return None;
        }
        self.kept.set(self.kept.get() + 1);
        Some(Kept { connection: Some(connection), room: Rc::clone(self) })
    }
}

impl Kept {
    /// It, if another check can be made on it: it is young, the endpoint has not closed it, and nothing came on it that
    /// nobody has asked for.
    pub fn usable(self, now: Instant) -> Option<Self> {
        self.connection
            .as_ref()
            .is_some_and(|kept| now < kept.until && is_quiet(&kept.stream))
            .then_some(self)
    }

    /// The connection.
    pub(super) fn take(mut self) -> Connection {
        self.connection.take().expect("only taken once, with `self`")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.room.kept.set(self.room.kept.get() - 1);
        self.connection.take().into_iter().for_each(Connection::end);
    }
}

impl Connection {
    /// Closes it in the ordinary way: it has lived long enough not to matter, and an endpoint that waits for a request
    /// on it may log a reset as an error.
    pub(super) fn end(mut self) {
        if let Stream::TlsOut(session) = &mut self.stream {
            session.leave(&[]);
        }
        if let Some(socket) = self.stream.socket() {
            // A socket that refuses the option is closed with a reset.
            let _ = socket2::SockRef::from(socket).set_linger(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::net::{TcpListener, TcpStream};

    const AGE: Duration = Duration::from_secs(60);

    fn run<F: Future<Output = ()>>(test: F) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    async fn pair() -> (Connection, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let connection = Connection { stream: stream.into(), until: Instant::now() + AGE };
        (connection, listener.accept().await.unwrap().0)
    }

    #[test]
    fn it_is_usable_while_it_is_young_and_quiet() {
        run(async {
            let room = Room::new(8);
            let (connection, _endpoint) = pair().await;
            let until = connection.until;
            let kept = room.keep(connection).unwrap().usable(until - AGE / 2).unwrap();
            assert!(kept.usable(until).is_none(), "too old");
            let (connection, endpoint) = pair().await;
            drop(endpoint);
            connection.stream.socket().unwrap().readable().await.unwrap();
            assert!(room.keep(connection).unwrap().usable(until - AGE).is_none(), "closed by the endpoint");
        });
    }

    #[test]
    fn there_is_room_for_so_many() {
        run(async {
            let room = Room::new(1);
            let first = room.keep(pair().await.0);
            assert!(first.is_some());
            assert!(room.keep(pair().await.0).is_none());
            drop(first);
            assert!(room.keep(pair().await.0).is_some());
        });
    }
}
