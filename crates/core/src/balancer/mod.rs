//! The balancers: given the candidates, which one gets the request.
//!
//! One algorithm per file behind the trait [`Balancer`]; `entry` is the table that names them all. To add one, write
//! its file and its line there.
//!
//! | balancer | picks | a pick costs, for n candidates |
//! |---|---|---|
//! | [`round_robin`] | in turn, by weight | O(1); O(log n) when the weights have a huge least common cycle |
//! | [`least_requests`] | the fewest in flight for its weight | O(n) up to 64, then a sample |
//! | [`random`] | by weight | O(1) |
//! | [`two_choices`] | the less loaded of two random ones | O(1) |
//! | [`peak_ewma`] | the one of two expected to answer first | O(1) |
//! | [`ip_hash`] | the client address's, by rendezvous hashing | O(n) up to 64, then O(1) |
//! | [`ring_hash`] | the key's, on a ring | O(log n) |
//! | [`maglev`] | the key's, in a table | O(1) |
//!
//! Each worker has its own balancers, which share nothing but the endpoints' atomics. They decide without clock and
//! without I/O, and do not allocate in `pick`.

mod alias;
mod bound;
pub mod ip_hash;
pub mod least_requests;
pub mod maglev;
pub mod peak_ewma;
pub mod random;
pub mod ring_hash;
pub mod round_robin;
mod schedule;
pub mod two_choices;

pub use bound::LoadBound;

use crate::document::Balance;
use crate::pool::{Endpoint, Nanos};
use crate::random::Random;
use std::sync::Arc;

/// An algorithm that picks one of the candidates.
pub trait Balancer {
    /// Takes note of new candidates. Called before the first pick and whenever they or their weights change.
    fn rebuild(&mut self, candidates: &[Candidate], span: &Span, random: &mut Random);

    /// The index of the candidate that gets the request.
    ///
    /// `candidates` are those of the last `rebuild`. There is at least one, and at least two when `request.exclude`
    /// is set; the answer is never `request.exclude`.
    fn pick(&mut self, candidates: &[Candidate], request: &mut PickRequest<'_>) -> usize;
}

/// An endpoint that may be picked, with its effective weight, which is at least 1.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Its weight among the candidates.
    pub weight: u32,
    /// Whether its weight is less than it will be: in slow start, in probation, or because it is slow.
    pub is_reduced: bool,
}

/// What a pool's weights span, over all members whatever their state.
///
/// The hash balancers size their tables by it. By the candidates' they would change size whenever an endpoint's health
/// changes, and then nearly every key would move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Members with a weight above 0.
    pub members: usize,
    /// The sum of their weights.
    pub total_weight: u64,
    /// The smallest of their weights; 0 when there are none.
    pub least_weight: u32,
}

/// What a pick may depend on.
#[derive(Debug)]
pub struct PickRequest<'a> {
    /// What the hash balancers go by, a hash from [`crate::pool::hash`]; `None` when the request has no such thing
    /// (the header is missing): then any endpoint is as good as another.
    pub key: Option<u64>,
    /// A candidate that must not be picked.
    pub exclude: Option<usize>,
    /// The moment.
    pub now: Nanos,
    /// Where random choices come from.
    pub random: &'a mut Random,
}

/// Makes a balancer that has no candidates yet, from the bound in percent, which only the hashes heed.
type Make = fn(Option<u32>) -> Box<dyn Balancer>;

/// All balancers.
pub const ALL: [Balance; 8] = [
    Balance::RoundRobin,
    Balance::LeastRequests,
    Balance::Random,
    Balance::TwoChoices,
    Balance::PeakEwma,
    Balance::IpHash,
    Balance::RingHash,
    Balance::Maglev,
];

/// Each balancer's name in the configuration, and how it is made.
fn entry(balance: Balance) -> (&'static str, Make) {
    match balance {
        Balance::RoundRobin => ("round-robin", |_| Box::<round_robin::RoundRobin>::default()),
        Balance::LeastRequests => ("least-requests", |_| Box::<least_requests::LeastRequests>::default()),
        Balance::Random => ("random", |_| Box::<random::Weighted>::default()),
        Balance::TwoChoices => ("two-choices", |_| Box::<two_choices::TwoChoices>::default()),
        Balance::PeakEwma => ("peak-ewma", |_| Box::<peak_ewma::PeakEwma>::default()),
        Balance::IpHash => ("ip-hash", |bound| Box::new(ip_hash::IpHash::new(bound))),
        Balance::RingHash => ("ring-hash", |bound| Box::new(ring_hash::RingHash::new(bound))),
        Balance::Maglev => ("maglev", |bound| Box::new(maglev::Maglev::new(bound))),
    }
}

/// A balancer's name as the configuration, the API and the metrics write it.
pub fn name(balance: Balance) -> &'static str {
    entry(balance).0
}

/// A new balancer. `bound_percent` is the pool's `hash_bound_percent`.
pub fn make(balance: Balance, bound_percent: Option<u32>) -> Box<dyn Balancer> {
    entry(balance).1(bound_percent)
}

impl Span {
    /// The span of these weights.
    pub fn of(weights: impl IntoIterator<Item = u32>) -> Self {
        weights.into_iter().filter(|weight| *weight > 0).fold(Self::default(), |span, weight| Self {
            members: span.members + 1,
            total_weight: span.total_weight + u64::from(weight),
            least_weight: if span.members == 0 { weight } else { span.least_weight.min(weight) },
        })
    }
}

impl PickRequest<'_> {
    /// The key, or a random one.
    #[inline]
    fn key(&mut self) -> u64 {
        self.key.unwrap_or_else(|| self.random.next())
    }
}

impl Candidate {
    /// The load that one more request would make, for comparison by weight: `a` is the better choice than `b` when
    /// `a.load() * b.weight < b.load() * a.weight`. An idle endpoint has none, whatever its weight: otherwise a light
    /// one would never be picked while heavier ones are idle too.
    #[inline]
    fn load(&self) -> u64 {
        match self.endpoint.in_flight() {
            0 => 0,
            in_flight => u64::from(in_flight) + 1,
        }
    }

    /// Whether one more request is better sent here than to `other`, by load for weight.
    ///
    /// One whose weight is reduced does not win by being idle: with few requests under way it mostly is, and would get
    /// as much as the others. As `other`, drawn by weight, it may be idle.
    #[inline]
    fn is_less_loaded_than(&self, other: &Self) -> bool {
        let load = if self.is_reduced { self.load().max(1) } else { self.load() };
        load * u64::from(other.weight) < other.load() * u64::from(self.weight)
    }
}

/// A balancer under test, with its candidates and what a pick needs.
#[cfg(test)]
pub(crate) mod trial {
    use super::{Balancer, Candidate, PickRequest, Span};
    use crate::pool::{Endpoint, EndpointId, Health, Leasable, Lease, Nanos};
    use crate::random::Random;
    use std::net::SocketAddr;
    use std::sync::Arc;

    pub(crate) struct Trial<B> {
        pub balancer: B,
        pub candidates: Vec<Candidate>,
        pub span: Span,
        pub key: Option<u64>,
        pub exclude: Option<usize>,
        pub now: Nanos,
        random: Random,
    }

    impl<B: Balancer> Trial<B> {
        pub(crate) fn new(balancer: B, weights: &[u32]) -> Self {
            Self::with(balancer, candidates(weights), 1)
        }

        pub(crate) fn with(balancer: B, candidates: Vec<Candidate>, seed: u64) -> Self {
            let span = Span::of(candidates.iter().map(|candidate| candidate.weight));
            let random = Random::new(seed);
            let mut trial = Self { balancer, candidates, span, key: None, exclude: None, now: 0, random };
            trial.rebuild();
            trial
        }

        /// After a change of the candidates; the span stays, as if the others were unhealthy.
        pub(crate) fn rebuild(&mut self) {
            self.balancer.rebuild(&self.candidates, &self.span, &mut self.random);
        }

        pub(crate) fn pick(&mut self) -> usize {
            let (key, exclude, now) = (self.key, self.exclude, self.now);
            let mut request = PickRequest { key, exclude, now, random: &mut self.random };
            self.balancer.pick(&self.candidates, &mut request)
        }

        /// How often each is picked when all requests end at once.
        pub(crate) fn shares(&mut self, picks: usize) -> Vec<usize> {
            let mut shares = vec![0; self.candidates.len()];
            for _ in 0..picks {
                shares[self.pick()] += 1;
            }
            shares
        }
    }

    /// Candidates of these weights at 10.0.0.1:80, 10.0.0.2:80 and so on.
    pub(crate) fn candidates(weights: &[u32]) -> Vec<Candidate> {
        let candidate = |(id, weight): (u32, &u32)| {
            let address = SocketAddr::from(((0x0A00_0001 + id).to_be_bytes(), 80));
            Candidate {
                endpoint: Arc::new(Endpoint::new(EndpointId(id), address, Health::Healthy)),
                weight: *weight,
                is_reduced: false,
            }
        };
        (0..).zip(weights).map(candidate).collect()
    }

    /// Keeps requests in flight on a candidate.
    pub(crate) fn busy(candidate: &Candidate, requests: usize) -> Vec<Lease> {
        let leasable = Leasable::new(Arc::clone(&candidate.endpoint), u32::MAX);
        (0..requests).filter_map(|_| leasable.lease()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_document() {
        for balance in ALL {
            let read: Balance = serde_json::from_value(name(balance).into()).unwrap();
            assert_eq!(read, balance);
        }
    }

    #[test]
    fn span_leaves_out_what_gets_no_traffic() {
        assert_eq!(Span::of([0, 3, 2, 0]), Span { members: 2, total_weight: 5, least_weight: 2 });
        assert_eq!(Span::of([]), Span::default());
    }
}
