//! The counters of each thing that has a number, and how those of several workers add up.

use super::access::CompressionStats;
use super::histogram::Histogram;
use evenly_core::affinity::{Ignored, Outcome, Told};
use evenly_core::error::Failure;
use evenly_core::grpc::STATUSES;
use evenly_core::retry::Cause;
use evenly_core::route::{Comparison, Mirrored};
use evenly_http2::Reason;
use evenly_http3::Code;

/// What belongs to no listener.
#[derive(Debug, Clone, Default)]
pub(super) struct ProcessStats {
    pub accept_errors: u64,
    pub accept_limited: u64,
    pub tarpit_full: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct ListenerStats {
    pub opened: u64,
    pub closed: u64,
    pub requests: u64,
    pub slow_clients: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub failures: Failures,
    pub datagrams: Datagrams,
    pub compression: CompressionStats,
    pub tls: TlsStats,
    pub h2: H2Stats,
    pub h3: H3Stats,
}

/// Handshakes with clients.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsStats {
    /// By version (1.2, 1.3), and whether they resumed a session.
    pub agreed: [[u64; 2]; 2],
    /// Why is told as for every connection.
    pub failed: u64,
    /// Requests in early data: those that had to wait, and those that were done at once.
    pub early: [u64; 2],
}

impl TlsStats {
    pub const VERSIONS: [&str; 2] = ["1.2", "1.3"];

    pub fn total(&self) -> u64 {
        self.agreed.iter().flatten().sum()
    }

    pub fn resumed(&self) -> u64 {
        self.agreed.iter().map(|[_, resumed]| resumed).sum()
    }

    fn merge(&mut self, other: &Self) {
        self.failed += other.failed;
        self.early.iter_mut().zip(other.early).for_each(|(mine, theirs)| *mine += theirs);
        let theirs = other.agreed.iter().flatten();
        self.agreed.iter_mut().flatten().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Connections that speak HTTP/2.
#[derive(Debug, Clone, Default)]
pub(super) struct H2Stats {
    pub opened: u64,
    /// What ended a stream, and what a connection; by place in [`Reason::ALL`].
    pub failed: [[u64; Reason::ALL.len()]; 2],
}

impl H2Stats {
    fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        let theirs = other.failed.iter().flatten();
        self.failed.iter_mut().flatten().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Connections that speak HTTP/3, and the packets under them.
#[derive(Debug, Clone, Default)]
pub(super) struct H3Stats {
    pub opened: u64,
    /// Clients that had to show that they are where they say.
    pub retried: u64,
    /// Changes of clients' addresses.
    pub migrated: u64,
    /// Packets that came to another worker than the one that has their connection.
    pub handed_over: u64,
    /// By place in [`Lost::ALL`].
    pub lost: [u64; Lost::ALL.len()],
    /// What ended a stream, and what a connection; by place in [`Code::ALL`], and then QUIC's own errors.
    pub failed: [[u64; Code::ALL.len() + 1]; 2],
}

impl H3Stats {
    fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.retried += other.retried;
        self.migrated += other.migrated;
        self.handed_over += other.handed_over;
        self.lost.iter_mut().zip(other.lost).for_each(|(mine, theirs)| *mine += theirs);
        let theirs = other.failed.iter().flatten();
        self.failed.iter_mut().flatten().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
    }
}

/// Why a packet of QUIC was lost here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The worker that it was for had too many waiting.
    HandOver,
    /// The kernel did not take it.
    Unsent,
}

impl Lost {
    pub(super) const ALL: [Self; 2] = [Self::HandOver, Self::Unsent];

    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::HandOver => "queue-full",
            Self::Unsent => "unsent",
        }
    }
}

/// What only listeners of datagrams count.
#[derive(Debug, Clone, Default)]
pub(super) struct Datagrams {
    pub came: u64,
    pub left: u64,
    pub unsent: u64,
    pub unexpected: u64,
    pub moved: u64,
    /// Bytes of tables, and sockets towards endpoints, as they are now.
    pub tables: (u64, u64),
}

impl Datagrams {
    fn merge(&mut self, other: &Self) {
        self.came += other.came;
        self.left += other.left;
        self.unsent += other.unsent;
        self.unexpected += other.unexpected;
        self.moved += other.moved;
        self.tables = (self.tables.0 + other.tables.0, self.tables.1 + other.tables.1);
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct RouteStats {
    pub series: Vec<Series>,
    pub phases: Vec<Phases>,
    pub faults_delayed: u64,
    pub faults_aborted: u64,
    /// By place in [`Mirrored::ALL`].
    pub mirrored: [u64; Mirrored::ALL.len()],
    /// By place in [`Comparison::ALL`].
    pub compared: [u64; Comparison::ALL.len()],
}

/// Requests of one route by listener, pool and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Series {
    pub listener: u32,
    pub pool: u32,
    pub status: u16,
    pub requests: u64,
}

/// Durations of one route's requests to one pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Phases {
    pub pool: u32,
    pub queue: Histogram,
    pub connect: Histogram,
    pub upstream: Histogram,
    pub total: Histogram,
}

#[derive(Debug, Clone, Default)]
pub(super) struct PoolStats {
    pub resends: u64,
    /// By kind of cause.
    pub retries: [u64; Cause::KINDS.len()],
    /// Not made because the budget was used up.
    pub retries_refused: u64,
    /// Second tries beside a first one.
    pub hedges: HedgeStats,
    /// Requests that its fallback took over.
    pub fallbacks: u64,
    pub affinity: AffinityStats,
    pub queue_entered: u64,
    pub queue_left: u64,
    pub queue_timeouts: u64,
    pub queue_full: u64,
    /// By an open circuit.
    pub circuit_rejected: u64,
    pub grpc: GrpcStats,
}

/// Calls of gRPC by status; most pools have none.
#[derive(Debug, Clone, Default)]
pub(super) struct GrpcStats(Option<Box<[u64; STATUSES.len()]>>);

impl GrpcStats {
    pub fn count(&mut self, status: u8) {
        if let Some(count) = self.0.get_or_insert_default().get_mut(usize::from(status)) {
            *count += 1;
        }
    }

    /// Every status that was, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.0.iter().flat_map(|counts| counts.iter().copied());
        STATUSES.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }

    fn merge(&mut self, other: &Self) {
        if let Some(theirs) = &other.0 {
            let mine = self.0.get_or_insert_default();
            mine.iter_mut().zip(theirs.iter()).for_each(|(mine, theirs)| *mine += theirs);
        }
    }
}

/// Second tries that begin while the first is under way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HedgeStats {
    pub sent: u64,
    pub won: u64,
    /// Not made because the budget was used up.
    pub refused: u64,
    /// After how many nanoseconds the last request would have had one.
    pub delay: u64,
}

impl HedgeStats {
    fn merge(&mut self, other: &Self) {
        self.sent += other.sent;
        self.won += other.won;
        self.refused += other.refused;
        // Each worker has its own; the longest says most.
        self.delay = self.delay.max(other.delay);
    }
}

/// What became of clients' affinity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AffinityStats {
    pub hits: u64,
    pub new: u64,
    pub moved: u64,
    pub spilled: u64,
    pub tampered: u64,
    pub unknown: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct EndpointStats {
    /// By the status's first digit; 0 is tcp, or no answer.
    pub requests: [u64; 6],
    pub failures: Failures,
    pub opened: u64,
    /// Those of them that requests share.
    pub shared: u64,
    pub reused: u64,
    /// TLS handshakes that ended well: new sessions, and resumed ones.
    pub agreed: [u64; 2],
}

/// Counts by kind of failure.
#[derive(Debug, Clone)]
pub(super) struct Failures([u64; Failure::ALL.len()]);

impl ListenerStats {
    /// Connections that are open.
    pub fn open(&self) -> u64 {
        self.opened.saturating_sub(self.closed)
    }

    pub fn merge(&mut self, other: &Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.requests += other.requests;
        self.slow_clients += other.slow_clients;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.failures.merge(&other.failures);
        self.datagrams.merge(&other.datagrams);
        self.compression.merge(&other.compression);
        self.tls.merge(&other.tls);
        self.h2.merge(&other.h2);
        self.h3.merge(&other.h3);
    }
}

impl PoolStats {
    pub fn merge(&mut self, other: &Self) {
        self.resends += other.resends;
        self.retries.iter_mut().zip(other.retries).for_each(|(mine, theirs)| *mine += theirs);
        self.retries_refused += other.retries_refused;
        self.hedges.merge(&other.hedges);
        self.fallbacks += other.fallbacks;
        self.affinity.merge(&other.affinity);
        self.queue_entered += other.queue_entered;
        self.queue_left += other.queue_left;
        self.queue_timeouts += other.queue_timeouts;
        self.queue_full += other.queue_full;
        self.circuit_rejected += other.circuit_rejected;
        self.grpc.merge(&other.grpc);
    }
}

impl RouteStats {
    /// The series of one combination. There are a handful, and the one found moves ahead of its neighbour, so that
    /// the most frequent are found first.
    pub fn series(&mut self, listener: u32, pool: u32, status: u16) -> &mut Series {
        let is_it = |s: &Series| s.status == status && s.pool == pool && s.listener == listener;
        let index = match self.series.iter().position(is_it) {
            Some(0) => 0,
            Some(index) => {
                self.series.swap(index, index - 1);
                index - 1
            }
            None => {
                self.series.push(Series { listener, pool, status, requests: 0 });
                self.series.len() - 1
            }
        };
        &mut self.series[index]
    }

    /// The durations of one pool: more than one only if the route splits or was changed.
    pub fn phases(&mut self, pool: u32) -> &mut Phases {
        let index = self.phases.iter().position(|phases| phases.pool == pool).unwrap_or_else(|| {
            self.phases.push(Phases { pool, ..Phases::default() });
            self.phases.len() - 1
        });
        &mut self.phases[index]
    }

    pub fn merge(&mut self, other: &Self) {
        self.faults_delayed += other.faults_delayed;
        self.faults_aborted += other.faults_aborted;
        self.mirrored.iter_mut().zip(other.mirrored).for_each(|(mine, theirs)| *mine += theirs);
        self.compared.iter_mut().zip(other.compared).for_each(|(mine, theirs)| *mine += theirs);
        for theirs in &other.series {
            self.series(theirs.listener, theirs.pool, theirs.status).requests += theirs.requests;
        }
        for theirs in &other.phases {
            let mine = self.phases(theirs.pool);
            mine.queue.merge(&theirs.queue);
            mine.connect.merge(&theirs.connect);
            mine.upstream.merge(&theirs.upstream);
            mine.total.merge(&theirs.total);
        }
    }
}

impl AffinityStats {
    pub fn count(&mut self, told: Told) {
        match told.outcome {
            Outcome::None => {}
            Outcome::Hit => self.hits += 1,
            Outcome::New => self.new += 1,
            Outcome::Moved => self.moved += 1,
            Outcome::Spilled => self.spilled += 1,
        }
        match told.ignored {
            Ignored::Nothing => {}
            Ignored::Tampered => self.tampered += 1,
            Ignored::Unknown => self.unknown += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.hits += other.hits;
        self.new += other.new;
        self.moved += other.moved;
        self.spilled += other.spilled;
        self.tampered += other.tampered;
        self.unknown += other.unknown;
    }
}

impl EndpointStats {
    /// Requests of all statuses.
    pub fn requests(&self) -> u64 {
        self.requests.iter().sum()
    }

    pub fn merge(&mut self, other: &Self) {
        self.requests.iter_mut().zip(other.requests).for_each(|(mine, theirs)| *mine += theirs);
        self.failures.merge(&other.failures);
        self.opened += other.opened;
        self.shared += other.shared;
        self.reused += other.reused;
        self.agreed.iter_mut().zip(other.agreed).for_each(|(mine, theirs)| *mine += theirs);
    }
}

impl Default for Failures {
    fn default() -> Self {
        Self([0; Failure::ALL.len()])
    }
}

impl Failures {
    pub fn count(&mut self, failure: Failure) {
        self.0[failure.index()] += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Every kind that happened, with how often.
    pub fn iter(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        Failure::ALL.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    /// All kinds together.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}
