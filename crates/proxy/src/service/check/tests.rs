use super::*;
use crate::service::probe;
use evenly_core::document;
use std::future::Future;
use tokio::net::TcpListener;

/// Far longer than anything here takes; a test that waits for it has failed.
const LONG: Duration = Duration::from_secs(20);

/// Runs a check against `serve`, which gets the connection.
fn run<F: Future<Output = ()> + 'static>(
    probe: &document::Probe,
    within: Duration,
    serve: impl FnOnce(TcpStream) -> F + 'static,
) -> Result<(), CheckFailure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::task::spawn_local(async move { serve(listener.accept().await.unwrap().0).await });
        let probe = probe::new(probe, None, false);
        let buffers = Rc::default();
        let request = probe.request(address);
        let order = order(address, &request, &*probe, within, &buffers);
        let (outcome, _) = check(&order, None).await;
        if outcome != Err(CheckFailure::Timeout(Step::Exchange)) {
            server.await.unwrap();
        }
        outcome
    })
}

fn order<'a>(
    address: SocketAddr,
    request: &'a [u8],
    probe: &'a dyn Probe,
    within: Duration,
    buffers: &'a Rc<Buffers>,
) -> Order<'a> {
    Order {
        address,
        endpoint: address,
        introduction: &[],
        tls: None,
        request,
        probe,
        within,
        buffers,
        age: LONG,
    }
}

fn http(expected_body: Option<&str>) -> document::Probe {
    document::Probe::Http {
        method: "GET".into(),
        path: "/healthz".into(),
        host: None,
        expected_status: vec![document::StatusRange { first: 200, last: 299 }],
        expected_body: expected_body.map(str::to_owned),
        reuse_connection: true,
    }
}

fn tcp(send: Option<&str>, expect: Option<&str>) -> document::Probe {
    document::Probe::Tcp { send: send.map(str::to_owned), expect: expect.map(str::to_owned) }
}

/// Sends all of it.
async fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    introduce(stream, bytes).await
}

/// Receives until `end` came.
async fn expect(stream: &TcpStream, end: &[u8]) {
    let mut received = Vec::new();
    while !received.ends_with(end) {
        stream.readable().await.unwrap();
        let mut room = [0; 256];
        if let Ok(n) = stream.try_read(&mut room) {
            assert_ne!(n, 0, "closed after {}", received.escape_ascii());
            received.extend_from_slice(&room[..n]);
        }
    }
}

/// Sends until the peer refuses it; says how.
async fn refusal(stream: &TcpStream, bytes: &[u8]) -> io::Error {
    loop {
        if let Err(error) = send(stream, bytes).await {
            return error;
        }
    }
}

#[test]
fn http_passes_with_an_expected_status_and_text() {
    let outcome = run(&http(Some("well")), LONG, |stream| async move {
        expect(&stream, b"Connection: keep-alive\r\n\r\n").await;
        send(&stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nall wel\r\n")
            .await
            .unwrap();
        send(&stream, b"1\r\nl\r\n0\r\n\r\n").await.unwrap();
    });
    assert_eq!(outcome, Ok(()));
}

#[test]
fn the_answer_is_read_to_its_end_before_the_connection_is_reset() {
    let outcome = run(&http(None), LONG, |stream| async move {
        expect(&stream, b"\r\n\r\n").await;
        send(&stream, b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n").await.unwrap();
        send(&stream, &vec![b'-'; 60_000]).await.unwrap();
        // More than is looked at is refused. The end is a reset, so nothing of the connection stays behind.
        let refused = refusal(&stream, &vec![b'-'; 140_000]).await.kind();
        assert!(matches!(refused, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe), "{refused}");
    });
    assert_eq!(outcome, Ok(()));
}

#[test]
fn an_endpoint_that_closes_early_fails() {
    let nothing = run(&http(None), LONG, |stream| async move {
        expect(&stream, b"\r\n\r\n").await;
    });
    assert_eq!(nothing, Err(CheckFailure::Closed));
    let half = run(&http(Some("all is well")), LONG, |stream| async move {
        expect(&stream, b"\r\n\r\n").await;
        send(&stream, b"HTTP/1.1 200 OK\r\n\r\nall is").await.unwrap();
    });
    assert_eq!(half, Err(CheckFailure::TextMissing));
}

#[test]
fn a_refused_connection_says_so() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let probe = probe::new(&tcp(None, None), None, false);
    let buffers = Rc::default();
    let order = order(unused, b"", &*probe, LONG, &buffers);
    let (outcome, _) = runtime.block_on(check(&order, None));
    assert_eq!(outcome.unwrap_err().to_string(), "connect: connection refused");
}

#[test]
fn the_deadline_holds_for_the_whole_check() {
    // Long enough for a busy machine to connect and answer, short enough to wait for.
    let short = Duration::from_millis(200);
    let silent = run(&http(None), short, |stream| async move {
        expect(&stream, b"\r\n\r\n").await;
        std::future::pending().await
    });
    assert_eq!(silent, Err(CheckFailure::Timeout(Step::Exchange)));
    // The status is known; only the rest of the body does not come.
    let endless = run(&http(None), short, |stream| async move {
        expect(&stream, b"\r\n\r\n").await;
        send(&stream, b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        assert!(stream.readable().await.is_ok());
    });
    assert_eq!(endless, Ok(()));
}

#[test]
fn tcp_connects_sends_and_expects() {
    assert_eq!(run(&tcp(None, None), LONG, |_| async {}), Ok(()));
    let ping = tcp(Some("PING\r\n"), Some("+PONG"));
    let pong = run(&ping, LONG, |stream| async move {
        expect(&stream, b"PING\r\n").await;
        send(&stream, b"+PONG\r\n").await.unwrap();
    });
    assert_eq!(pong, Ok(()));
    let other = run(&ping, LONG, |stream| async move {
        expect(&stream, b"PING\r\n").await;
        send(&stream, b"-NOAUTH\r\n").await.unwrap();
    });
    assert_eq!(other, Err(CheckFailure::TextMissing));
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// Checks on a kept connection, against `serve`, which gets the listener and that connection.
fn run_kept<F: Future<Output = ()> + 'static>(
    serve: impl FnOnce(TcpListener, TcpStream) -> F + 'static,
) -> (Result<(), CheckFailure>, bool) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (probe, buffers) = (probe::new(&http(None), None, false), Rc::default());
        let request = probe.request(address);
        let mut order = order(address, &request, &*probe, LONG, &buffers);
        order.introduction = b"PROXY UNKNOWN\r\n";
        let stream = connect(address).await.unwrap();
        let kept = Room::new(1).keep(Connection { stream: stream.into(), until: Instant::now() + LONG });
        let connection = listener.accept().await.unwrap().0;
        let server = tokio::task::spawn_local(serve(listener, connection));
        let (outcome, connection) = check(&order, kept).await;
        server.await.unwrap();
        (outcome, connection.is_some())
    })
}

#[test]
fn a_kept_connection_carries_the_next_check_without_an_introduction() {
    let checked = run_kept(|_, stream| async move {
        let mut begin = [0; 4];
        stream.readable().await.unwrap();
        assert_eq!(stream.try_read(&mut begin).unwrap(), 4);
        assert_eq!(&begin, b"GET ");
        expect(&stream, b"\r\n\r\n").await;
        send(&stream, ANSWER).await.unwrap();
    });
    assert_eq!(checked, (Ok(()), true));
}

#[test]
fn a_kept_connection_that_ends_under_the_request_is_followed_by_a_new_one() {
    let checked = run_kept(|listener, stream| async move {
        expect(&stream, b"\r\n\r\n").await;
        drop(stream);
        let stream = listener.accept().await.unwrap().0;
        expect(&stream, b"\r\n\r\n").await;
        send(&stream, ANSWER).await.unwrap();
    });
    assert_eq!(checked, (Ok(()), true));
}

#[test]
fn a_kept_connection_that_ends_within_the_answer_is_a_failure() {
    let checked = run_kept(|_, stream| async move {
        expect(&stream, b"\r\n\r\n").await;
        send(&stream, b"HTTP/1.1 200").await.unwrap();
    });
    assert_eq!(checked, (Err(CheckFailure::Closed), false));
}
