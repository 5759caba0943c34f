//! Health checks as a whole, over real sockets.

use super::*;
use crate::clock::Clock;
use crate::metrics::sample;
use crate::tls::Targets;
use evenly_core::pool::{Endpoint, EndpointState};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Far longer than anything here takes; a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(20);

/// An endpoint that answers with the status it is told, and tells of each check.
struct Served {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    checked: Receiver<()>,
}

impl Served {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, status) = (listener.local_addr().unwrap(), Arc::new(AtomicU16::new(200)));
        let (tell, checked) = channel();
        let answers = Arc::clone(&status);
        // Ends with the test's process.
        thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                read_request(&mut stream);
                let status = answers.load(Ordering::Relaxed);
                let _ = write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                let _ = tell.send(());
            }
        });
        Self { address, status, checked }
    }
}

fn read_request(stream: &mut TcpStream) {
    let (mut request, mut byte) = (Vec::new(), [0]);
    while !request.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        request.push(byte[0]);
    }
}

/// The service with what it told so far.
struct Running {
    service: Service,
    events: Arc<Events>,
    told: VecDeque<Event>,
}

impl Running {
    fn new() -> Self {
        let events = Arc::<Events>::default();
        Self {
            service: Service::start(Arc::clone(&events), Clock::start()).unwrap(),
            events,
            told: VecDeque::new(),
        }
    }

    /// The next event: where to, and why.
    fn next_change(&mut self) -> (String, &'static str, String) {
        while self.told.is_empty() {
            let events = self.events.wait(LONG);
            assert!(!events.is_empty(), "nothing happened");
            self.told.extend(events);
        }
        match self.told.pop_front().unwrap().subject {
            Subject::Endpoint { endpoint, to, reason, .. } => (endpoint, to, reason),
            other => panic!("{other:?}"),
        }
    }
}

/// Pool "app" with these endpoints, checked by http every 10 ms.
fn snapshot(endpoints: &[SocketAddr], previous: Option<&Snapshot>) -> Arc<Snapshot> {
    let expected = json!([{"first": 200, "last": 299}]);
    let probe = json!({"type": "http", "method": "GET", "path": "/healthz", "host": null,
        "expected_status": expected, "expected_body": null, "reuse_connection": true});
    sample::snapshot(&[], endpoints, &sample::health_check(&probe, 10), previous)
}

fn endpoint(snapshot: &Snapshot, address: SocketAddr) -> Arc<Endpoint> {
    Arc::clone(&snapshot.pools[0].member(address).unwrap().endpoint)
}

#[test]
fn endpoints_go_and_come_back_with_an_event_each() {
    let (mut running, served) = (Running::new(), Served::new());
    let address = served.address.to_string();
    let snapshot = snapshot(&[served.address], None);
    let endpoint = endpoint(&snapshot, served.address);
    assert_eq!(endpoint.state(), EndpointState::Starting);
    running.service.apply(Arc::clone(&snapshot), Targets::default());
    assert_eq!(running.next_change(), (address.clone(), "healthy", String::new()));
    let epoch = snapshot.pools[0].epoch();

    served.status.store(503, Ordering::Relaxed);
    assert_eq!(running.next_change(), (address.clone(), "unhealthy", "status 503".into()));
    assert_eq!(endpoint.state(), EndpointState::Unhealthy);
    assert!(snapshot.pools[0].epoch() > epoch, "pickers look again");
    let checks = running.service.checks().of(endpoint.id()).unwrap();
    assert_eq!((checks.transitions, checks.reason), (2, Some(CheckFailure::Status(503))));
    assert!(checks.failed >= 2 && checks.passed >= 1 && checks.last.is_some());

    served.status.store(200, Ordering::Relaxed);
    assert_eq!(running.next_change(), (address, "healthy", String::new()));
    assert_eq!(running.service.checks().of(endpoint.id()).unwrap().reason, None);
    running.service.stop();
}

#[test]
fn an_endpoint_that_is_not_there_is_unhealthy_and_says_why() {
    let mut running = Running::new();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    running.service.apply(snapshot(&[unused], None), Targets::default());
    assert_eq!(
        running.next_change(),
        (unused.to_string(), "unhealthy", "connect: connection refused".into())
    );
    running.service.stop();
}

#[test]
fn a_removed_endpoint_is_left_alone_at_once_also_in_the_middle_of_a_check() {
    let (mut running, kept) = (Running::new(), Served::new());
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let both = snapshot(&[kept.address, silent.local_addr().unwrap()], None);
    running.service.apply(Arc::clone(&both), Targets::default());
    let (mut checking, _) = silent.accept().unwrap();
    read_request(&mut checking);
    assert_eq!(running.next_change().1, "healthy");
    let passed = running.service.checks().of(endpoint(&both, kept.address).id()).unwrap().passed;

    running.service.apply(snapshot(&[kept.address], Some(&both)), Targets::default());
    checking.set_read_timeout(Some(LONG)).unwrap();
    let ended = checking.read(&mut [0]).map_err(|error| error.kind());
    assert!(matches!(ended, Ok(0) | Err(io::ErrorKind::ConnectionReset)), "{ended:?}");
    kept.checked.try_iter().for_each(drop);
    (0..3).for_each(|_| kept.checked.recv_timeout(LONG).unwrap());
    silent.set_nonblocking(true).unwrap();
    assert_eq!(
        silent.accept().map(|_| ()).unwrap_err().kind(),
        io::ErrorKind::WouldBlock,
        "no further check"
    );
    let checks = running.service.checks().of(endpoint(&both, kept.address).id()).unwrap();
    assert!(checks.passed > passed && checks.transitions == 1, "the other goes on where it was: {checks:?}");
    running.service.stop();
}

#[test]
fn a_pool_whose_check_is_removed_is_healthy() {
    let mut running = Running::new();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let checked = snapshot(&[unused], None);
    running.service.apply(Arc::clone(&checked), Targets::default());
    assert_eq!(running.next_change().1, "unhealthy");
    running.service.apply(sample::snapshot(&[], &[unused], &Value::Null, Some(&checked)), Targets::default());
    assert_eq!(running.next_change(), (unused.to_string(), "healthy", "not checked any more".into()));
    assert_eq!(endpoint(&checked, unused).state(), EndpointState::Healthy);
    running.service.stop();
}
