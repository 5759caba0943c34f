//! The two sides of a session.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ReadEarlyData, UnbufferedConnectionCommon, UnbufferedStatus};
use std::ops::DerefMut;

/// One of the two sides: rustls has them apart, with nothing in common but what they are made of.
pub trait Side: DerefMut<Target = UnbufferedConnectionCommon<Self::Data>> {
    /// What only this side knows.
    type Data;

    /// Looks at what came.
    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;

    /// Gives each record of early data to `take`.
    fn read_early(early: ReadEarlyData<'_, '_, Self::Data>, take: impl FnMut(&[u8]));
}

impl Side for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    fn read_early(mut early: ReadEarlyData<'_, '_, Self::Data>, mut take: impl FnMut(&[u8])) {
        // It never has a record that cannot be read.
        while let Some(Ok(record)) = early.next_record() {
            take(record.payload);
        }
    }
}

impl Side for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(&'c mut self, incoming: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }

    /// Servers send none.
    fn read_early(_: ReadEarlyData<'_, '_, Self::Data>, _: impl FnMut(&[u8])) {}
}
