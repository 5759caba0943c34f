use super::*;
use crate::document::{AffinityCookie, AffinitySecrets, AffinityTable, Balance, Secret};
use crate::ids::Ids;
use crate::pool::{AdminState, Health, Picker, Pool};
use crate::random::Random;
use crate::route::Fields;
use crate::sample;
use proptest::prelude::*;

/// A `Cookie` field, or none.
struct CookieField(Option<String>);

impl Fields for CookieField {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.as_deref().filter(|_| name.eq_ignore_ascii_case("cookie")).map(str::as_bytes)
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.first(name).is_some_and(test)
    }
}

/// A request with these fields and nothing else that matters.
fn asking(fields: &CookieField) -> Request<'_> {
    Request { method: "GET", host: "h", path: "/", query: None, fields, tls: None, connect: false }
}

fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, last], 80))
}

fn secrets() -> Secrets {
    let secret = Some(Secret("0123456789abcdef".into()));
    Secrets::build(&AffinitySecrets { secret, previous_secret: None }).unwrap().unwrap()
}

fn document(affinity: document::Affinity, endpoints: &[u8]) -> document::Pool {
    let endpoints = endpoints.iter().copied().map(sample::endpoint).collect();
    document::Pool { affinity: Some(affinity), endpoints, ..sample::pool() }
}

fn by_cookie() -> document::Affinity {
    document::Affinity::Cookie {
        cookie: AffinityCookie {
            name: "sid".into(),
            path: "/".into(),
            same_site: crate::document::SameSite::Lax,
            http_only: false,
            secure: None,
            ttl_ms: None,
        },
    }
}

fn table(max_entries: u32) -> AffinityTable {
    AffinityTable { max_entries, ttl_ms: 60_000 }
}

fn by_ip() -> document::Affinity {
    document::Affinity::SourceIp { v4_bits: 32, v6_bits: 64, table: table(1000) }
}

/// A pool with its affinity, as workers have them.
struct Site {
    affinity: Affinity,
    pool: Arc<Pool>,
    workers: Vec<Picker>,
    ids: Ids,
}

impl Site {
    fn new(affinity: document::Affinity, endpoints: &[u8], workers: u64) -> Self {
        let document = document(affinity, endpoints);
        let mut ids = Ids::default();
        let pool = Arc::new(Pool::build(&document, None, &mut ids).unwrap());
        let affinity = Affinity::build(&document, None, Some(&secrets())).unwrap().unwrap();
        let workers = (0..workers).map(|seed| Picker::new(Arc::clone(&pool), Random::new(seed))).collect();
        ids.retain();
        Self { affinity, pool, workers, ids }
    }

    fn reload(&mut self, affinity: document::Affinity, endpoints: &[u8]) {
        let document = document(affinity, endpoints);
        self.pool = Arc::new(Pool::build(&document, Some(&self.pool), &mut self.ids).unwrap());
        self.ids.retain();
        self.affinity = Affinity::build(&document, Some(&self.affinity), Some(&secrets())).unwrap().unwrap();
        self.workers.iter_mut().for_each(|picker| picker.update(Arc::clone(&self.pool)));
    }

    fn set(&self, last: u8, health: Health, admin: AdminState) {
        let endpoint = &self.pool.member(address(last)).unwrap().endpoint;
        endpoint.set_health(health);
        endpoint.set_admin(admin);
        self.pool.changed();
    }

    /// One request of a client with this cookie: who served it, the outcome, and the cookie that it has then.
    fn ask(&mut self, client: u8, cookie: Option<String>, now: Nanos) -> (u8, Outcome, Option<String>) {
        let workers = self.workers.len() as u64;
        let picker = &mut self.workers[usize::try_from(now % workers).unwrap()];
        let fields = CookieField(cookie.clone());
        let request = asking(&fields);
        let mut clue = self.affinity.clue(&request, [192, 0, 2, client].into());
        let lease = pick(&self.affinity, &mut clue, picker, Ask { key: None, tried: &[], now }).unwrap();
        let place = Place::of(lease.endpoint());
        let mut out = Vec::new();
        if self.affinity.answered(&mut clue, place, now) {
            self.affinity.write_cookie(&mut out, place, false);
        }
        let set = String::from_utf8(out).unwrap();
        let set = set.strip_prefix("Set-Cookie: ").map(|line| line.split(';').next().unwrap().to_owned());
        let IpAddr::V4(ip) = lease.endpoint().address().ip() else { panic!("all are IPv4") };
        (ip.octets()[3], clue.told.outcome, set.or(cookie))
    }
}

#[test]
fn a_client_stays_while_its_endpoint_drains_and_moves_once_when_it_dies() {
    for by in [by_cookie(), by_ip()] {
        let mut site = Site::new(by, &[1, 2, 3], 2);
        let (first, outcome, cookie) = site.ask(9, None, 0);
        assert_eq!(outcome, Outcome::New);
        site.set(first, Health::Healthy, AdminState::Draining);
        assert!((1..20).all(|now| site.ask(9, cookie.clone(), now).0 == first), "it stays");
        assert!((1..20).all(|now| site.ask(10, None, now).0 != first), "new ones go elsewhere");
        site.set(first, Health::Unhealthy, AdminState::Draining);
        let (second, outcome, cookie) = site.ask(9, cookie, 20);
        assert_eq!((second != first, outcome), (true, Outcome::Moved));
        site.set(first, Health::Healthy, AdminState::Ready);
        for now in 21..40 {
            let again = site.ask(9, cookie.clone(), now);
            assert_eq!(again, (second, Outcome::Hit, cookie.clone()), "it does not go back");
        }
    }
}

#[test]
fn clients_of_an_evacuated_zone_move_once_and_stay_where_they_went() {
    for by in [by_cookie(), by_ip()] {
        let mut site = Site::new(by, &[1, 2, 3], 2);
        let (first, _, cookie) = site.ask(9, None, 0);
        site.pool.member(address(first)).unwrap().endpoint.set_evacuated(true);
        site.pool.changed();
        let (second, outcome, cookie) = site.ask(9, cookie, 1);
        assert_eq!((second != first, outcome), (true, Outcome::Moved));
        site.pool.member(address(first)).unwrap().endpoint.set_evacuated(false);
        site.pool.changed();
        for now in 2..20 {
            assert_eq!(site.ask(9, cookie.clone(), now), (second, Outcome::Hit, cookie.clone()));
        }
        // When all are evacuated, everybody stays: there is nowhere else to go.
        site.pool.members.iter().for_each(|member| {
            member.endpoint.set_evacuated(true);
        });
        site.pool.changed();
        assert_eq!(site.ask(9, cookie, 20).0, second);
    }
}

#[test]
fn who_has_failed_is_left_and_who_answered_is_kept() {
    let mut site = Site::new(by_ip(), &[1, 2], 1);
    let (first, ..) = site.ask(9, None, 0);
    let tried = [site.pool.member(address(first)).unwrap().endpoint.id()];
    let mut clue = site.affinity.clue_of_address([192, 0, 2, 9].into());
    let ask = Ask { key: None, tried: &tried, now: 1 };
    let lease = pick(&site.affinity, &mut clue, &mut site.workers[0], ask).unwrap();
    assert!(!tried.contains(&lease.endpoint().id()));
    site.affinity.answered(&mut clue, Place::of(lease.endpoint()), 1);
    assert_eq!(clue.told.outcome, Outcome::Moved);
    assert_eq!(site.ask(9, None, 2).1, Outcome::Hit);
    assert_ne!(site.ask(9, None, 3).0, first);
}

#[test]
fn a_full_endpoint_lets_its_client_go_elsewhere_for_once() {
    let mut site = Site::new(by_ip(), &[1, 2], 1);
    let (first, ..) = site.ask(9, None, 0);
    let mut limited = document(by_ip(), &[1, 2]);
    limited.endpoints.iter_mut().for_each(|endpoint| endpoint.max_connections = Some(1));
    site.pool = Arc::new(Pool::build(&limited, Some(&site.pool), &mut site.ids).unwrap());
    site.workers[0].update(Arc::clone(&site.pool));
    let crate::pool::Resident::Lease(held) = site.workers[0].lease(Place::of_address(address(first)), 1)
    else {
        panic!("there is room for one")
    };
    let (second, outcome, _) = site.ask(9, None, 2);
    assert_eq!((second != first, outcome), (true, Outcome::Spilled));
    drop(held);
    assert_eq!((site.ask(9, None, 3).0, site.ask(9, None, 4).1), (first, Outcome::Hit));
}

#[test]
fn the_applications_cookie_is_learned() {
    let by = || document::Affinity::Learn { name: "JSESSIONID".into(), table: table(10) };
    let mut site = Site::new(by(), &[1, 2, 3], 2);
    let mut clue = Clue::default();
    site.affinity.learn(&mut clue, b"other=1; Path=/", Place::of_address(address(2)), 0);
    assert_eq!(clue.told.outcome, Outcome::None);
    site.affinity.learn(&mut clue, b"JSESSIONID=abc; Path=/", Place::of_address(address(2)), 0);
    assert_eq!(clue.told.outcome, Outcome::New);
    site.reload(by(), &[3, 2, 1]);
    for now in 1..10 {
        let (endpoint, outcome, _) = site.ask(1, Some("a=b; JSESSIONID=abc".into()), now);
        assert_eq!((endpoint, outcome), (2, Outcome::Hit));
    }
    assert_eq!(site.ask(1, None, 20).1, Outcome::None);
}

#[test]
fn a_value_that_is_known_by_something_else_starts_anew() {
    let mut site = Site::new(by_ip(), &[1, 2], 1);
    site.ask(9, None, 0);
    site.reload(document::Affinity::Header { name: "X".into(), table: table(10) }, &[1, 2]);
    let (table, bounds) = site.affinity.table().unwrap();
    assert_eq!(table.report(bounds, 1).entries, 0);
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let cookie = |change: fn(&mut AffinityCookie)| {
        let document::Affinity::Cookie { mut cookie } = by_cookie() else { panic!("it is one") };
        change(&mut cookie);
        document::Affinity::Cookie { cookie }
    };
    let none = AffinityTable { max_entries: 0, ttl_ms: 1 };
    for (affinity, path) in [
        (cookie(|cookie| cookie.name = "a b".into()), "affinity.cookie.name"),
        (document::Affinity::Learn { name: "a;b".into(), table: table(1) }, "affinity.name"),
        (document::Affinity::SourceIp { v4_bits: 33, v6_bits: 64, table: table(1) }, "affinity.v4_bits"),
        (document::Affinity::Query { name: "q".into(), table: none }, "affinity.table.max_entries"),
    ] {
        let error = Affinity::build(&document(affinity, &[1]), None, Some(&secrets())).unwrap_err();
        assert_eq!(error.path, path);
    }
    let hashed = document::Pool { balance: Balance::IpHash, ..document(by_cookie(), &[1]) };
    assert!(Affinity::build(&hashed, None, Some(&secrets())).unwrap_err().message.contains("hash balancers"));
    assert_eq!(Affinity::build(&document(by_ip(), &[1]), None, None).unwrap_err().path, "affinity");
}

#[test]
fn a_variant_is_kept_while_it_has_weight() {
    let document::Affinity::Cookie { cookie } = by_cookie() else { panic!("it is one") };
    let build = |weights: [u32; 2]| {
        let pools = [("stable", weights[0], PoolIndex(3)), ("canary", weights[1], PoolIndex(5))];
        Variants::build(&cookie, pools.into_iter(), Some(&secrets())).unwrap()
    };
    use crate::route::PoolIndex;
    let variants = build([95, 5]);
    let mut out = Vec::new();
    variants.write_cookie(&mut out, PoolIndex(5), true);
    let line = String::from_utf8(out).unwrap();
    let value = line.strip_prefix("Set-Cookie: ").unwrap().split(';').next().unwrap().to_owned();
    assert!(!line.contains("canary") && line.ends_with("; Secure\r\n"), "{line}");
    let read = |variants: &Variants, value: &str| {
        let fields = CookieField(Some(value.to_owned()));
        let request = asking(&fields);
        let variant = variants.read(&request);
        (variant.pool, variant.is_due, variant.told.outcome, variant.told.ignored)
    };
    let stays = (Some(PoolIndex(5)), false, Outcome::Hit, Ignored::Nothing);
    assert_eq!(read(&variants, &value), stays);
    assert_eq!(read(&variants, &format!("sid=forged; {value}")), stays, "the first good one counts");
    assert_eq!(read(&build([50, 50]), &value), stays);
    let over = read(&build([100, 0]), &value);
    assert_eq!(over, (None, true, Outcome::Moved, Ignored::Unknown), "the canary is over");
    assert_eq!(read(&variants, "sid=x"), (None, true, Outcome::New, Ignored::Tampered));
}

/// What may happen between two rounds of requests.
#[derive(Debug, Clone)]
enum Event {
    Reload(Vec<u8>),
    Health(u8, Health),
    Admin(u8, AdminState),
}

fn event() -> impl Strategy<Value = Event> {
    let health = prop_oneof![Just(Health::Healthy), Just(Health::Unhealthy), Just(Health::Starting)];
    let admin =
        prop_oneof![Just(AdminState::Ready), Just(AdminState::Draining), Just(AdminState::Maintenance)];
    prop_oneof![
        prop::sample::subsequence(vec![1, 2, 3, 4, 5], 1..=5).prop_shuffle().prop_map(Event::Reload),
        (1..=5_u8, health).prop_map(|(last, health)| Event::Health(last, health)),
        (1..=5_u8, admin).prop_map(|(last, admin)| Event::Admin(last, admin)),
    ]
}

proptest! {
    /// Whatever happens, a client whose endpoint can serve it stays there, and one that has moved stays where it went.
    #[test]
    fn nobody_moves_without_a_reason(events in prop::collection::vec(event(), 0..25), is_cookie in any::<bool>()) {
        let by = || if is_cookie { by_cookie() } else { by_ip() };
        let mut site = Site::new(by(), &[1, 2, 3, 4, 5], 3);
        let mut clients: Vec<(Option<u8>, Option<String>)> = vec![(None, None); 12];
        let mut now = 0;
        for event in events {
            match event {
                Event::Reload(endpoints) => site.reload(by(), &endpoints),
                Event::Health(last, health) => if let Some(member) = site.pool.member(address(last)) {
                    let admin = member.endpoint.admin();
                    site.set(last, health, admin);
                },
                Event::Admin(last, admin) => if let Some(member) = site.pool.member(address(last)) {
                    let health = member.endpoint.health();
                    site.set(last, health, admin);
                },
            }
            let serves = |site: &Site, last: u8| site.pool.member(address(last)).is_some_and(|member| {
                member.endpoint.health() != Health::Unhealthy && member.endpoint.admin() != AdminState::Maintenance
            });
            // With nobody to go to there is no answer, and nothing to be said of one.
            if site.workers[0].tier(now).is_err() { continue }
            for (client, (home, cookie)) in (0_u8..).zip(&mut clients) {
                for _ in 0..3 {
                    now += 1;
                    let (endpoint, outcome, next) = site.ask(client, cookie.clone(), now);
                    match *home {
                        Some(home) if serves(&site, home) => prop_assert_eq!((endpoint, outcome), (home, Outcome::Hit)),
                        Some(home) => {
                            prop_assert_ne!(endpoint, home);
                            prop_assert_eq!(outcome, Outcome::Moved);
                        }
                        None => prop_assert_eq!(outcome, Outcome::New),
                    }
                    (*home, *cookie) = (Some(endpoint), next);
                }
            }
        }
    }
}
