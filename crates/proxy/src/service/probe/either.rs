//! A page, asked for by what the endpoint chooses under TLS: HTTP/1.1, or HTTP/2.

use super::http::Http;
use super::http2::Http2;
use super::{Probe, Progress, Verdict};
use crate::tls::{Alpn, EITHER};
use std::net::SocketAddr;

/// As HTTP/1.1, until the endpoint has chosen.
pub(super) struct Either {
    pub http1: Http,
    pub http2: Http2,
}

impl Probe for Either {
    fn request(&self, address: SocketAddr) -> Vec<u8> {
        self.http1.request(address)
    }

    fn begin(&self) -> Option<Progress> {
        self.http1.begin()
    }

    fn receive(&self, progress: &mut Progress, bytes: &mut [u8]) -> Verdict {
        self.http1.receive(progress, bytes)
    }

    fn alpn(&self) -> Alpn {
        EITHER
    }

    fn by_http2(&self) -> Option<&dyn Probe> {
        Some(&self.http2)
    }
}
