//! Parts of a document for the tests in this crate and beside it: what Python makes of the smallest configuration. A new
//! field comes in with that golden, and no test has to name it.

use evenly_core::document::{Document, Endpoint, Pool};
use std::net::SocketAddr;

/// A pool with the defaults of everything, named "app", without endpoints.
pub fn pool() -> Pool {
    let golden = include_str!("../../../../tests/golden/config/01-minimal.json");
    let mut document = Document::parse(golden).expect("a golden document");
    let pool = document.pools.pop().expect("a pool in it");
    Pool { endpoints: Vec::new(), ..pool }
}

/// 10.0.0.`last`:80, with the defaults of everything.
pub fn endpoint(last: u8) -> Endpoint {
    Endpoint {
        address: SocketAddr::from(([10, 0, 0, last], 80)),
        server_name: None,
        weight: 1,
        backup: false,
        max_connections: None,
        zone: None,
        priority: 0,
    }
}
