//! What HTTP/3 counts, and QUIC under it.

use super::counts::Lost;
use super::stats::WorkerStats;
use evenly_http3::Code;

impl WorkerStats {
    /// A client speaks HTTP/3.
    pub fn h3_opened(&mut self, listener: u32) {
        self.listeners.at(listener).h3.opened += 1;
    }

    /// A client did what ends a stream or, with `is_connection`, all of them.
    pub fn h3_failed(&mut self, listener: u32, code: Code, is_connection: bool) {
        let failed = &mut self.listeners.at(listener).h3.failed[usize::from(is_connection)];
        let place = Code::ALL.iter().position(|known| *known == code);
        failed[place.unwrap_or(Code::ALL.len())] += 1;
    }

    /// A client had to show that it is where it says.
    pub fn quic_retried(&mut self, listener: u32) {
        self.listeners.at(listener).h3.retried += 1;
    }

    /// A client goes on from another address.
    pub fn quic_migrated(&mut self, listener: u32) {
        self.listeners.at(listener).h3.migrated += 1;
    }

    /// A packet went to the worker that has its connection.
    pub fn quic_handed_over(&mut self, listener: u32) {
        self.listeners.at(listener).h3.handed_over += 1;
    }

    /// Packets were lost here.
    pub fn quic_lost(&mut self, listener: u32, why: Lost) {
        self.listeners.at(listener).h3.lost[why as usize] += 1;
    }
}
