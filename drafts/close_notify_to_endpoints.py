import pathlib
def sub(path, old, new, count=1):
    p=pathlib.Path(path); s=p.read_text()
    assert s.count(old)>=1, (path, old)
    s=s.replace(old,new,count); p.write_text(s)
S='crates/proxy/src/tls/session.rs'
sub(S,'''    /// Ends it without waiting for anything, for one that is given up: the endpoint is told if it takes it now.
    pub fn leave(&mut self) {
        if !self.is_closed && self.write(|mut traffic, room| traffic.queue_close_notify(room)).is_ok() {
            self.flush();
        }
    }
''','''    /// Ends it without waiting for anything, with `last` before its end: the endpoint is told if it takes it now. What was
    /// being written, if anything was, is the beginning of `last`.
    pub fn leave(&mut self, last: &[u8]) {
        let last = last.get(self.accepted..).unwrap_or_default();
        let is_said = last.is_empty() || self.seal(last, &[]).is_ok();
        if is_said
            && !self.is_closed
            && self.write(|mut traffic, room| traffic.queue_close_notify(room)).is_ok()
        {
            self.flush();
        }
    }
''')
E='crates/proxy/src/http/h2/endpoint.rs'
sub(E,'''    fn end(self, end: End) {
''','''    fn end(mut self, end: End) {
''')
sub(E,'''        if let Some(socket) = self.stream.plain() {
            // What does not fit is not missed: the connection's end says the same.
            let _ = socket.try_write(state.connection.output().pending());
        }
''','''        let last = state.connection.output().pending();
        // What does not fit is not missed: the connection's end says the same.
        match &mut self.stream {
            Stream::TlsOut(session) => session.leave(last),
            Stream::Plain(socket) => drop(socket.try_write(last)),
            // None of them is an endpoint's connection.
            Stream::Tls(_) | Stream::H2(_) | Stream::H3(_) => {}
        }
''')
U='crates/proxy/src/upstream.rs'
sub(U,'''        session.leave();
''','''        session.leave(&[]);
''')
sub(U,'''            if address == endpoint.address() && is_quiet(&stream) {
                let endpoint = endpoint.id();
                return Some(Upstream { stream, endpoint, address, reused: true, owner, target });
            }
''','''            if address == endpoint.address() && is_quiet(&stream) {
                let endpoint = endpoint.id();
                return Some(Upstream { stream, endpoint, address, reused: true, owner, target });
            }
            part(stream);
''')
sub(U,'''        self.by_endpoint.borrow_mut().clear();
''','''        let all = std::mem::take(&mut *self.by_endpoint.borrow_mut());
        all.into_iter().flatten().for_each(|idle| part(idle.stream));
''')
sub('crates/proxy/src/service/check/kept.rs','session.leave();','session.leave(&[]);')
W='crates/proxy/src/worker/mod.rs'
sub(W,'''    // Returning drops the runtime''','''    // Endpoints are told what they are told of any other end; what has requests under way is cut.
    worker.idle.clear();
    // Returning drops the runtime''')
T='tests/e2e/test_http2_endpoints.py'
sub(T,'''def test_an_idle_connection_ends_and_a_silent_one''','''@pytest.mark.parametrize("how", ["idle", "reload"])
def test_over_tls_an_end_is_announced(web, playing, authority, endpoint, how) -> None:
    """GOAWAY, then what ends the session: an endpoint that hears neither would take it for an attack (RFC 8446 §6.1)."""
    files = authority.issue("localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    context.set_alpn_protocols(["h2"])
    address = f"https://localhost:{playing.port}"
    idle = 'keepalive = { idle_timeout = "100ms" }' if how == "idle" else ""
    serving = web(address, pool=f'{H2}\\ntls = {{ ca = "{authority.bundle}" }}\\n{idle}')
    client = serving.connect()
    client.send("GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    session = context.wrap_socket(playing.socket.accept()[0], server_side=True, suppress_ragged_eofs=False)
    peer = Http2Peer(session)
    playing.accepted.append(peer)
    peer.answer(peer.request().stream)
    assert client.read_response().text == "ok"
    if how == "reload":
        serving.balancer.reload(serving.balancer.file.read_text().replace(address, f"https://{endpoint}"))
    # An end without a word would be an error here.
    while not peer.is_closed:
        peer.receive()
    assert peer.goaway is not None
    assert peer.goaway.error_code == NO_ERROR


def test_an_idle_connection_ends_and_a_silent_one''')
C='CHANGELOG.md'
s=pathlib.Path(C).read_text()
i=s.index('* gRPC: every kind of call')
s=s[:i]+'''* Connections by HTTP/2 to endpoints under TLS end with GOAWAY and `close_notify`, as those without TLS do with GOAWAY, and what lies
  idle says so wherever it is closed.
'''+s[i:]
pathlib.Path(C).write_text(s)
