//! When a session leaves its endpoint, and what it tells of it.

use super::{Carried, Lost, Relay, family};
use crate::udp::batch::refused;
use crate::udp::trial::Trial;
use evenly_core::error::Failure;
use evenly_core::pool::{EndpointState, Tier};
use evenly_core::sessions::{Due, SessionId, Tick};
use std::os::fd::AsFd;
use std::sync::Arc;

impl Relay {
    /// Whether a session's endpoint is none for it any more. One that drains keeps what it has.
    pub(super) fn has_to_move(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let carried = &mut session.with;
        let endpoint = carried.lease.endpoint();
        let generation = self.site.view.snapshot.generation;
        if carried.generation != generation {
            let member = self.site.view.pool(self.site.pool).member(session.endpoint);
            if !member.is_some_and(|member| Arc::ptr_eq(&member.endpoint, endpoint)) {
                return true;
            }
            carried.generation = generation;
        }
        let is_unfit = match endpoint.state() {
            _ if carried.trial.failure().is_some() => return true,
            EndpointState::Maintenance => return true,
            EndpointState::Unhealthy => true,
            // What goes well is not cut: others' failures may be none of this client's.
            EndpointState::Ejected => !carried.trial.is_answered(),
            _ => false,
        };
        if !is_unfit {
            return false;
        }
        // In panic every endpoint is as good as the others.
        let now = self.worker.now();
        let tier = self.site.view.picker(self.site.pool).borrow_mut().tier(now);
        !matches!(tier, Ok(Tier::Panic))
    }

    /// Gives a session to another endpoint.
    pub(super) fn move_on(&mut self, id: SessionId, now: Tick) -> Result<(), Lost> {
        let Some(session) = self.sessions.get(id) else { return Ok(()) };
        let (flow, before) = (session.flow, (session.source, session.endpoint));
        let failed = session.with.trial.failure().map(|_| session.with.lease.endpoint().id());
        let trial = Trial::new(self.enter()?);
        let (lease, _) = match self.pick(flow, failed) {
            Ok(picked) => picked,
            // There is no other: perhaps it listens again.
            Err(_) if failed.is_some() => self.pick(flow, None)?,
            Err(lost) => return Err(lost),
        };
        let endpoint = lease.endpoint().address();
        let shown = self.shown(flow, endpoint)?;
        let (header, generation) = (self.header(flow), self.site.view.snapshot.generation);
        let source = if endpoint == before.1 { before.0 } else { self.claim(endpoint)? };
        if let Some(session) = self.sessions.get(id) {
            let carried = &mut session.with;
            (carried.lease, carried.header, carried.generation) = (lease, header, generation);
            (carried.source, carried.trial) = (shown, trial);
            (session.endpoint, session.source, session.unanswered) = (endpoint, source, Some(now));
        }
        if endpoint != before.1 {
            self.outlets[family(before.1)].sources.release(before.0, before.1);
            self.outlets[family(endpoint)].sources.take(source, endpoint, id);
            self.worker.stats.borrow_mut().session_moved(self.site.listener.id.0);
        }
        Ok(())
    }

    /// Takes in what the network says of datagrams that this socket sent; whether it said anything.
    pub(super) fn note_refusals(&mut self, family: usize, source: u32) -> bool {
        let mut has_any = false;
        while let Some((endpoint, is_unreachable)) =
            self.outlets[family].socket(source).ok().and_then(|socket| refused(socket.as_fd()))
        {
            has_any = true;
            if let Some(id) =
                self.outlets[family].sources.session(source, endpoint).filter(|_| is_unreachable)
            {
                self.fail(id, Failure::ConnectFailed);
            }
        }
        has_any
    }

    /// A session's endpoint cannot be reached, or does not answer: it is told to those who judge the endpoint, and the
    /// session leaves with its client's next datagram.
    pub(super) fn fail(&mut self, id: SessionId, failure: Failure) {
        let Some(session) = self.sessions.get(id) else { return };
        session.unanswered = None;
        let Carried { trial, lease, generation, .. } = &mut session.with;
        trial.failed(self.site.judging(*generation), lease, failure);
        self.worker.stats.borrow_mut().endpoint_failure(lease.endpoint().id().0, failure);
    }

    /// What it means that an endpoint has not answered for as long as it may take.
    pub(super) fn judge_unanswered(&mut self, id: SessionId, due: Due) {
        let Some(session) = self.sessions.get(id).filter(|session| session.is_unanswered(due)) else {
            return;
        };
        if self.site.listener.responses.is_some() {
            return self.fail(id, Failure::ResponseTimeout);
        }
        session.unanswered = None;
        let Carried { trial, lease, generation, .. } = &mut session.with;
        trial.not_refused(self.site.judging(*generation), lease);
    }
}
