//! One endpoint under check, and when it is next.

use crate::service::check::Kept;
use crate::service::probe::Probe;
use crate::tls;
use evenly_core::document::HealthCheck;
use evenly_core::health::HealthTracker;
use evenly_core::pool::{Endpoint, Pool};
use evenly_core::proxy_protocol::{Outgoing, Transport};
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinHandle;

/// What the checks of one pool share.
pub(super) struct PoolCheck {
    pub policy: HealthCheck,
    pub probe: Box<dyn Probe>,
    /// Whether the pool's endpoints are spoken to under TLS, which HTTP/2's requests say.
    pub is_secure: bool,
}

/// One endpoint that is checked.
pub(super) struct Target {
    /// Of the newest snapshot.
    pub pool: RefCell<Arc<Pool>>,
    pub endpoint: Arc<Endpoint>,
    pub check: Rc<PoolCheck>,
    /// The endpoint's, or with the port that the check replaces it by.
    pub address: SocketAddr,
    /// What a connection begins with; with datagrams, which have none, each request does.
    pub introduction: Vec<u8>,
    pub request: Vec<u8>,
    /// How TLS is spoken with it, if it is.
    pub tls: RefCell<Option<Arc<tls::Target>>>,
    /// What an earlier check has left.
    pub kept: RefCell<Option<Kept>>,
    pub tracker: RefCell<HealthTracker>,
    /// No check has passed yet.
    pub is_new: Cell<bool>,
    pub is_removed: Cell<bool>,
    pub under_way: RefCell<Option<JoinHandle<()>>>,
}

/// A check in the future.
pub(super) struct Due {
    pub at: Instant,
    pub target: Rc<Target>,
}

impl Target {
    /// Not checked yet.
    pub fn new(pool: &Arc<Pool>, endpoint: &Arc<Endpoint>, check: &Rc<PoolCheck>) -> Rc<Self> {
        let mut address = endpoint.address();
        check.policy.port.iter().for_each(|port| address.set_port(*port));
        // The endpoint's own address is what it knows itself by, also where the check asks at another port.
        let (mut introduction, mut request) = (introduction(pool), check.probe.request(endpoint.address()));
        if check.probe.is_datagram() {
            introduction.append(&mut request);
            request = std::mem::take(&mut introduction);
        }
        Rc::new(Self {
            pool: RefCell::new(Arc::clone(pool)),
            endpoint: Arc::clone(endpoint),
            check: Rc::clone(check),
            address,
            request,
            introduction,
            tls: RefCell::default(),
            kept: RefCell::default(),
            tracker: RefCell::new(HealthTracker::new(endpoint.health())),
            is_new: Cell::new(true),
            is_removed: Cell::new(false),
            under_way: RefCell::default(),
        })
    }

    /// Has TLS spoken with it like this from the next check on, or none.
    pub fn speak(&self, tls: Option<&Arc<tls::Target>>) {
        let is_same = match (&*self.tls.borrow(), tls) {
            (None, None) => true,
            (Some(before), Some(tls)) => Arc::ptr_eq(before, tls),
            _ => false,
        };
        if !is_same {
            self.tls.replace(tls.map(Arc::clone));
            self.kept.take();
        }
    }

    /// Ends its checks, also the one under way.
    pub fn remove(&self) {
        self.is_removed.set(true);
        self.under_way.take().iter().for_each(JoinHandle::abort);
        self.kept.take();
    }
}

/// The PROXY protocol header that endpoints of this pool expect. The connection is Evenly's own.
fn introduction(pool: &Pool) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(version) = pool.proxy_protocol else { return out };
    // A connection without addresses says nothing of what carries it.
    let own = Outgoing { version, transport: Transport::Stream, addresses: None, tlvs: &[] };
    evenly_core::proxy_protocol::write(&mut out, &own);
    out
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}
