//! A lease: the right to send one request (or open one connection) to an endpoint.

use super::Endpoint;
use std::rc::Rc;
use std::sync::Arc;

/// Counts itself in on creation and out on drop, so that no way out of a request can forget it.
///
/// It stays on its worker, see `Leasable`.
#[derive(Debug)]
pub struct Lease {
    endpoint: Leasable,
}

/// An endpoint as a worker leases it: each lease holds on to the worker's own reference count instead of the `Arc`'s,
/// which all workers would write to twice a request.
#[derive(Debug, Clone)]
pub(crate) struct Leasable(Rc<Shared>);

/// A name for what the `Rc` points at; the second allocation is the point of it.
#[derive(Debug)]
struct Shared {
    endpoint: Arc<Endpoint>,
    /// Leases that may be held on it, over all workers.
    most: u32,
}

impl Leasable {
    /// `most`: leases that may be held on it at once, over all workers; `u32::MAX` for no limit.
    pub(crate) fn new(endpoint: Arc<Endpoint>, most: u32) -> Self {
        Self(Rc::new(Shared { endpoint, most }))
    }

    /// Leases the endpoint; `None` when as many leases are held on it as may be.
    #[inline]
    pub(crate) fn lease(&self) -> Option<Lease> {
        let Shared { endpoint, most } = &*self.0;
        endpoint.count_in(*most).then(|| Lease { endpoint: self.clone() })
    }

    /// Whether one more lease would fit at this moment.
    pub(crate) fn has_room(&self) -> bool {
        self.0.endpoint.in_flight() < self.0.most
    }
}

impl Lease {
    /// The endpoint that was picked.
    #[inline]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint.0.endpoint
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.endpoint().count_out();
    }
}
