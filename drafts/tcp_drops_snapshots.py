def sub(path, *pairs):
    text=open(path).read()
    for a,b in pairs:
        assert text.count(a)==1,(path,a,text.count(a))
        text=text.replace(a,b)
    open(path,'w').write(text)
P='crates/proxy/src/'
sub(P+'tcp/mod.rs',
('''    let mut connection = Connection { worker: &worker, view, listener: &listener, pool: None, origin };
    tally.failure = connection.serve(stream, routes, &mut tally).await;
''','''    let mut connection = Connection { worker: &worker, listener: &listener, pool: None, origin };
    tally.failure = connection.serve(view, stream, routes, &mut tally).await;
'''),
('''    /// Pinned from the first byte to the last, as for a request.
    view: Rc<View>,
    listener: &'a Listener,
    /// The pool's place in the snapshot, once it is known.
    pool: Option<usize>,
''','''    listener: &'a Listener,
    /// Once it is known.
    pool: Option<Arc<Pool>>,
'''),
('''    /// All steps; why it ended, if not by both sides' will.
    async fn serve(
        &mut self,
        mut stream''','''    /// All steps; why it ended, if not by both sides' will. `view` is pinned until an endpoint is reached.
    async fn serve(
        &mut self,
        view: Rc<View>,
        mut stream'''),
('match self.route(&mut stream, routes, &deadline).await {','match self.route(&view, &mut stream, (routes, &deadline)).await {'),
('''self.worker.taking(&self.view, pool, tally.started);
                self.pool = Some(pool);
''','''self.worker.taking(&view, pool, tally.started);
                self.pool = Some(Arc::clone(view.pool(pool)));
'''),
('self.worker.enter(self.view.pool(pool))','self.worker.enter(view.pool(pool))'),
('''Some(_) => self.reach((pool, name.as_deref()), addresses, &deadline, tally).await,''','''Some(_) => {
                        self.reach(&view, (pool, name.as_deref()), addresses, &deadline, tally).await
                    }'''),
('''                    self.view.pool(pool).leave(permit''','''                    view.pool(pool).leave(permit'''),
('''        match reached {
            Ok(((_lease''','''        // A connection may last for days, and each generation would stay in memory as a whole for those that began in it.
        drop(view);
        match reached {
            Ok(((_lease'''),
('''    async fn route(
        &self,
        stream: &mut Stream,
        routes: &Passthrough,
        deadline: &Deadline,
    )''','''    async fn route(
        &self,
        view: &View,
        stream: &mut Stream,
        (routes, deadline): (&Passthrough, &Deadline),
    )'''),
('self.knows_by_name(routes) {','knows_by_name(view, routes) {'),
('''        let place = pool.and_then(|pool| self.view.place(pool.id));
        Ok((place''','''        let place = pool.and_then(|pool| view.place(pool.id));
        Ok((place'''),
('''    /// Whether the pool for connections of which nothing is known knows its clients by the name that they ask for.
    fn knows_by_name(&self, routes: &Passthrough) -> bool {
        let place = routes.default().and_then(|pool| self.view.place(pool.id));
        let affinity = place.and_then(|place| self.view.snapshot.affinity(place));
        affinity.is_some_and(Affinity::is_by_server_name)
    }

''',''),
('''        &self,
        (pool, name): (usize, Option<&str>),''','''        &self,
        view: &View,
        (pool, name): (usize, Option<&str>),'''),
('''Duration::from_millis(self.view.pool(pool).timeouts.connect_ms);
        let version = self.view.pool(pool).proxy_protocol;
        let affinity = self.view.snapshot.affinity(pool);
''','''Duration::from_millis(view.pool(pool).timeouts.connect_ms);
        let version = view.pool(pool).proxy_protocol;
        let affinity = view.snapshot.affinity(pool);
'''),
('let picked = self.pick(pool, &mut clue, &tried);','let picked = self.pick(view, pool, &mut clue, &tried);'),
('source: self.view.pool(pool).source_for','source: view.pool(pool).source_for'),
('target: self.view.target(','target: view.target('),
('''                    self.observe(pool, &endpoint, Outcome::Success, took);''','''                    self.observe(view.pool(pool), &endpoint, Outcome::Success, took);'''),
('''                        self.observe(pool, &endpoint, Outcome::LocalOriginFailure, 0);''','''                        self.observe(view.pool(pool), &endpoint, Outcome::LocalOriginFailure, 0);'''),
('if !self.view.pool(pool).retry','if !view.pool(pool).retry'),
('''    fn pick(&self, pool: usize, clue: &mut Clue, tried: &[EndpointId]) -> Result<Lease, NoEndpoint> {''','''    fn pick(
        &self,
        view: &View,
        pool: usize,
        clue: &mut Clue,
        tried: &[EndpointId],
    ) -> Result<Lease, NoEndpoint> {'''),
('let mut picker = self.view.picker(pool)','let mut picker = view.picker(pool)'),
('match self.view.snapshot.affinity(pool) {','match view.snapshot.affinity(pool) {'),
('''    fn observe(&self, pool: usize, endpoint: &Endpoint, outcome: Outcome, nanos: u64) {
        let pool = self.view.pool(pool);
''','''    fn observe(&self, pool: &Pool, endpoint: &Endpoint, outcome: Outcome, nanos: u64) {
'''),
('''        let pool = self.pool.map(|place| self.view.pool(place));
''','''        let pool = self.pool.as_deref();
'''),
('use evenly_core::pool::{Endpoint, EndpointId, Lease, NoEndpoint};','use evenly_core::pool::{Endpoint, EndpointId, Lease, NoEndpoint, Pool};'),
)
t=open(P+'tcp/mod.rs').read().rstrip('\n')
t+='''

/// Whether the pool for connections of which nothing is known knows its clients by the name that they ask for.
fn knows_by_name(view: &View, routes: &Passthrough) -> bool {
    let place = routes.default().and_then(|pool| view.place(pool.id));
    let affinity = place.and_then(|place| view.snapshot.affinity(place));
    affinity.is_some_and(Affinity::is_by_server_name)
}
'''
open(P+'tcp/mod.rs','w').write(t)
sub(P+'dataplane.rs',
('''struct Control {
    snapshot: Arc<Snapshot>,
''','''struct Control {
    snapshot: Arc<Snapshot>,
    /// It and those before it, as far as anybody still needs them.
    snapshots: Vec<Weak<Snapshot>>,
'''),
('''            snapshot: Arc::clone(&snapshot),
            ports''','''            snapshot: Arc::clone(&snapshot),
            snapshots: vec![Arc::downgrade(&snapshot)],
            ports'''),
('''        control.snapshot = Arc::clone(&snapshot);
        Ok''','''        control.snapshot = Arc::clone(&snapshot);
        control.snapshots.retain(is_needed);
        control.snapshots.push(Arc::downgrade(&snapshot));
        Ok'''),
('''            snapshot: &control.snapshot,
            targets''','''            snapshot: &control.snapshot,
            snapshots: control.snapshots.iter().filter(|one| is_needed(one)).count(),
            targets'''),
('use std::sync::{Arc, Mutex, MutexGuard, PoisonError};','use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};'),
('''impl Control {
    /// Counts''','''fn is_needed(snapshot: &Weak<Snapshot>) -> bool {
    snapshot.strong_count() > 0
}

impl Control {
    /// Counts'''),
)
sub(P+'metrics/mod.rs',('''    pub snapshot: &'a Snapshot,
    /// How TLS''','''    pub snapshot: &'a Snapshot,
    /// Configurations in memory.
    pub snapshots: usize,
    /// How TLS'''))
for f in ('render/tests.rs','status/tests.rs'):
    t=open(P+'metrics/'+f).read()
    i=t.index('Scene {'); 
    import re
    t2=t[:i]+re.sub(r'(\n\s+)(targets:)', r'\1snapshots: 1,\1\2', t[i:], count=1)
    open(P+'metrics/'+f,'w').write(t2)
sub(P+'metrics/render.rs',('''    to.sample(&[], scene.snapshot.generation);
''','''    to.sample(&[], scene.snapshot.generation);
    to.family(
        "evenly_snapshots",
        Kind::Gauge,
        "Configurations in memory: the running one, and earlier ones that requests and tunnels still need.",
    );
    to.sample(&[], scene.snapshots);
'''))
sub('docs/guides/observe.md',('''| `evenly_workers` | gauge | Worker threads. |
''','''| `evenly_snapshots` | gauge | Configurations in memory: the running one, and earlier ones that requests and tunnels still need. |
| `evenly_workers` | gauge | Worker threads. |
'''))
