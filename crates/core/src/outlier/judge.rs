//! The judge of a pool: looks at what traffic left behind, asks the detectors, and moves the endpoints' standings.
//!
//! Called a few times a second from one thread, never by a request. What it decides takes effect through the endpoints'
//! share and ejection, which the next pick sees.

use super::standing::Standing;
use super::traffic::Reading;
use super::{Reason, consecutive, latency, success_rate};
use crate::circuit::Phase;
use crate::document::OutlierDetection;
use crate::pool::{AdminState, Endpoint, EndpointState, Health, Member, Nanos, Pool};
use std::sync::{Arc, MutexGuard};

/// What the judge changed of an endpoint, for logs.
#[derive(Debug, Clone)]
pub struct Change {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its state before: a health, or "degraded", "ejected", "probation".
    pub from: &'static str,
    /// Its state now.
    pub to: &'static str,
    /// Why, with how long: "5 consecutive gateway errors, for 30 s". Empty when all is well again.
    pub reason: String,
}

/// Judges one pool. Keeps nothing but when it looked last: standings are kept on the endpoints.
#[derive(Debug, Default)]
pub struct Judge {
    next_look: Nanos,
}

/// Intervals after which a count that was never enough is begun anew.
const STALE: u64 = 10;

const MS: Nanos = 1_000_000;

type Standings<'a> = Vec<MutexGuard<'a, Standing>>;

impl Judge {
    /// One sweep over the pool; what it changed. Also moves slow starts on.
    pub fn sweep(&mut self, pool: &Pool, now: Nanos) -> Vec<Change> {
        let before: Vec<&'static str> =
            pool.members.iter().map(|member| member.endpoint.state_name()).collect();
        let shares: Vec<(u32, bool)> = pool
            .members
            .iter()
            .map(|member| (member.endpoint.share(), member.endpoint.is_ejected()))
            .collect();
        let mut standings: Standings<'_> =
            pool.members.iter().map(|member| member.endpoint.standing()).collect();
        match &pool.outlier_detection {
            Some(policy) => self.judge(pool, &mut standings, policy, now),
            None => standings.iter_mut().filter(|one| !one.name().is_empty()).for_each(|one| one.acquit(now)),
        }
        for (member, standing) in pool.members.iter().zip(&mut standings) {
            let endpoint = &member.endpoint;
            endpoint.set_ejected(standing.is_ejected());
            let is_usable = endpoint.state() == EndpointState::Healthy && member.phase() == Phase::Closed;
            let ramp = standing.ramp.pass_time(is_usable, now, pool.slow_start);
            endpoint.set_share(ramp.min(standing.share()));
        }
        let reasons: Vec<String> = standings.iter().map(|standing| standing.explain(now)).collect();
        drop(standings);
        let is_other = |(member, (share, is_ejected)): (&Member, &(u32, bool))| {
            member.endpoint.share() != *share || member.endpoint.is_ejected() != *is_ejected
        };
        if pool.members.iter().zip(&shares).any(is_other) {
            pool.changed();
        }
        let changes = pool.members.iter().zip(before).zip(reasons).filter_map(|((member, from), reason)| {
            let to = member.endpoint.state_name();
            (from != to).then(|| Change { endpoint: Arc::clone(&member.endpoint), from, to, reason })
        });
        changes.collect()
    }

    fn judge(&mut self, pool: &Pool, all: &mut Standings<'_>, policy: &OutlierDetection, now: Nanos) {
        let mut outliers: Vec<(usize, Reason)> = Vec::new();
        for (index, (member, standing)) in pool.members.iter().zip(all.iter_mut()).enumerate() {
            let reading = member.endpoint.traffic().take();
            if member.phase() != Phase::Closed {
                // It has been taken out already, and what its probes bring is for its circuit to judge.
                member.endpoint.traffic().forget_runs();
                standing.pass_time(now, policy);
                continue;
            }
            standing.rates.0.add(reading);
            standing.times.0.add(reading);
            standing.pass_time(now, policy);
            let reason = consecutive::reason(reading.trips, policy).or_else(|| standing.fails_probation());
            outliers.extend(reason.map(|reason| (index, reason)));
        }
        if now >= self.next_look {
            self.next_look = now.saturating_add(policy.interval_ms.max(1).saturating_mul(MS));
            outliers.extend(look_at_rates(all, policy, now));
            outliers.extend(look_at_times(all, policy, now));
        }
        for (index, reason) in outliers {
            eject(pool, all, index, reason, policy, now);
        }
        if !all.iter().zip(&pool.members).any(|(standing, member)| is_left(standing, member)) {
            // Nobody is left: whoever is ejected is a better choice than 503.
            all.iter_mut().filter(|one| one.is_ejected()).for_each(|one| one.try_again(now, policy));
        }
    }
}

/// Ejects an endpoint, if the share that may be ejected allows it and another one is left.
fn eject(
    pool: &Pool,
    all: &mut Standings<'_>,
    index: usize,
    reason: Reason,
    policy: &OutlierDetection,
    now: Nanos,
) {
    if all[index].is_ejected() || pool.members[index].phase() != Phase::Closed {
        return;
    }
    let most = (pool.members.len() * usize::from(policy.max_ejection_percent) / 100).max(1);
    let members = all.iter().zip(&pool.members);
    let out =
        members.filter(|(standing, member)| standing.is_ejected() || member.phase() != Phase::Closed).count();
    let others = all.iter().zip(&pool.members).enumerate().filter(|(other, _)| *other != index);
    let is_spared =
        out >= most || !others.into_iter().any(|(_, (standing, member))| is_left(standing, member));
    if is_spared {
        all[index].spared += 1;
    } else {
        all[index].eject(reason, now, policy);
    }
    pool.members[index].endpoint.traffic().forget_runs();
}

/// Whether an endpoint gets traffic: checks and operator let it, it has a weight, its zone is not evacuated, its circuit is
/// closed, and it is not ejected.
fn is_left(standing: &Standing, member: &Member) -> bool {
    let endpoint = &member.endpoint;
    let is_fit = endpoint.health() == Health::Healthy && endpoint.admin() == AdminState::Ready;
    let is_spared = endpoint.is_evacuated() || member.phase() != Phase::Closed || standing.is_ejected();
    is_fit && member.effective_weight() > 0 && !is_spared
}

fn look_at_rates(all: &mut Standings<'_>, policy: &OutlierDetection, now: Nanos) -> Vec<(usize, Reason)> {
    let volume = policy.success_rate_request_volume.max(1);
    let rates: Vec<(usize, f64)> = all
        .iter()
        .enumerate()
        .filter(|(_, standing)| !standing.is_ejected() && standing.rates.0.answered >= volume)
        .map(|(index, standing)| (index, standing.rates.0.success_rate()))
        .collect();
    for standing in all.iter_mut() {
        let (counted, since) = &mut standing.rates;
        if counted.answered >= volume || is_stale(*since, now, policy) {
            (*counted, *since) = (Reading::default(), now);
        }
    }
    success_rate::outliers(&rates, policy)
}

/// Degrades who is slow, and lets the others recover; who is slow even with the least traffic is an outlier.
fn look_at_times(all: &mut Standings<'_>, policy: &OutlierDetection, now: Nanos) -> Vec<(usize, Reason)> {
    let is_told = |standing: &Standing| standing.times.0.successes() >= latency::VOLUME;
    let means: Vec<(usize, f64)> = all
        .iter()
        .enumerate()
        .filter(|(_, standing)| !standing.is_ejected() && is_told(standing))
        .map(|(index, standing)| (index, standing.times.0.mean_micros()))
        .collect();
    let slow = latency::outliers(&means, policy);
    let mut outliers = Vec::new();
    for (index, standing) in all.iter_mut().enumerate() {
        let found = slow.iter().find(|(slow, _)| *slow == index).map(|(_, reason)| *reason);
        let is_on_probation = standing.name() == "probation";
        match found {
            Some(reason) if standing.degrade(reason, now) => outliers.push((index, reason)),
            Some(_) => {}
            None if is_told(standing) || is_stale(standing.times.1, now, policy) => {
                standing.improve(now);
                // In probation everything since its beginning counts.
                if !is_on_probation {
                    standing.times = (Reading::default(), now);
                }
            }
            None => {}
        }
    }
    outliers
}

fn is_stale(since: Nanos, now: Nanos, policy: &OutlierDetection) -> bool {
    now.saturating_sub(since) >= policy.interval_ms.saturating_mul(MS).saturating_mul(STALE)
}

#[cfg(test)]
mod tests;
