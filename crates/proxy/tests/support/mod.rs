//! A dataplane for tests in Rust: a whole document with one value changed here and there, and small raw peers.

#![allow(clippy::unwrap_used, reason = "a test whose setup fails has failed")]

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// A document with one `http` listener on a port of the system's choice, one pool and one route to it.
pub fn document(endpoints: &[SocketAddr]) -> Value {
    // The smallest configuration's document, so that options to come need no mention here.
    let mut document: Value =
        serde_json::from_str(include_str!("../../../../tests/golden/config/01-minimal.json")).unwrap();
    let sample = document["pools"][0]["endpoints"][0].take();
    let endpoint = |address: &SocketAddr| {
        let mut endpoint = sample.clone();
        endpoint["address"] = json!(address);
        endpoint
    };
    document["pools"][0]["endpoints"] = endpoints.iter().map(endpoint).collect();
    document["listeners"][0]["bind"] = json!(["127.0.0.1:0"]);
    document["workers"] = 1.into();
    document
}

/// An endpoint that answers every request head with `response`, on a thread for each connection.
pub fn endpoint(response: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, response));
        }
    });
    address
}

fn answer(mut stream: TcpStream, response: &[u8]) {
    let mut buffer = [0; 4096];
    // One read is one request here: the client waits for each answer.
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {
        if stream.write_all(response).is_err() {
            return;
        }
    }
}

/// Where the only listener of a dataplane really listens.
pub fn address(dataplane: &evenly_proxy::Dataplane) -> SocketAddr {
    let (_, sockets) = dataplane.sockets().unwrap().pop().unwrap();
    TcpListener::from(sockets.into_iter().next().unwrap()).local_addr().unwrap()
}
