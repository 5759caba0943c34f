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
struct Shared(Arc<Endpoint>);

impl Leasable {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        Self(Rc::new(Shared(endpoint)))
    }

    /// Leases the endpoint.
    #[inline]
    pub(crate) fn lease(&self) -> Lease {
        let lease = Lease { endpoint: self.clone() };
        lease.endpoint().count_in();
        lease
    }
}

impl Lease {
    /// The endpoint that was picked.
    #[inline]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint.0.0
    }
}

impl Drop for Lease {
    #[inline]
    fn drop(&mut self) {
        self.endpoint().count_out();
    }
}
