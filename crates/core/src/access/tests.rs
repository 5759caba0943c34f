//! Judging requests: each part by itself, and their order.

use super::*;
use crate::document::{ApiKeys as Keys, BasicAuth as Basic, KeySource as From, OnError};
use crate::route::{Fields, PoolIndex};

/// SHA-256 of "abc" (FIPS 180-4, example).
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

struct Given<'a>(&'a [(&'a str, &'a str)]);

impl Fields for Given<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    }

    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.0.iter().any(|(own, value)| own.eq_ignore_ascii_case(name) && test(value.as_bytes()))
    }
}

fn basic() -> Basic {
    let hash = bcrypt::hash_with_salt("secret", 4, [7; 16]).unwrap().to_string();
    Basic {
        realm: "Staff".into(),
        users: vec![("ada".into(), hash)],
        cache_ms: 1000,
        user_header: "X-User".into(),
        strip: true,
    }
}

fn keys(source: From) -> Keys {
    Keys { source, keys: vec![("ci".into(), ABC.into())], user_header: "X-Key-Name".into(), strip: true }
}

fn header_keys() -> Keys {
    keys(From::Header { name: "X-Api-Key".into() })
}

fn service() -> document::ForwardAuth {
    document::ForwardAuth {
        pool: "auth".into(),
        path: "/verify".into(),
        request_headers: vec!["Cookie".into()],
        response_headers: vec!["X-Role".into()],
        timeout_ms: 1000,
        on_error: OnError::Deny,
    }
}

fn nothing() -> document::Guard {
    document::Guard { access: None, basic_auth: None, api_keys: None, forward_auth: None }
}

fn build(document: &document::Guard) -> Result<Guard, DocumentError> {
    let mut pools = PoolIndexes::default();
    pools.insert("auth", PoolIndex(3));
    Guard::build(document, &pools)
}

/// What a guard says, in a word: a name that passes, a reason, or what is wanted.
fn said(
    guard: &Guard,
    fields: &[(&str, &str)],
    query: Option<&str>,
    verdict: Option<bool>,
    is_asked: bool,
) -> String {
    let fields = Given(fields);
    let request =
        Request { method: "GET", host: "h", path: "/", query, fields: &fields, tls: None, connect: false };
    match guard.judge([192, 0, 2, 1].into(), &request, &mut |_| verdict, is_asked) {
        Judgement::Pass(identity) => {
            identity.map_or_else(|| "pass".into(), |own| format!("{} as {}", own.header, own.name))
        }
        Judgement::Verify(claim, _) => format!("verify {}", claim.user.name),
        Judgement::Ask(forward) => format!("ask {}", forward.path),
        Judgement::Refuse(failure, line) => {
            format!("{failure} {}", String::from_utf8_lossy(line.unwrap_or_default()).trim_end())
        }
    }
}

const ADA: (&str, &str) = ("Authorization", "Basic YWRhOnNlY3JldA==");

#[test]
fn a_password_is_verified_and_then_counts() {
    let guard = build(&document::Guard { basic_auth: Some(basic()), ..nothing() }).unwrap();
    let challenge = "WWW-Authenticate: Basic realm=\"Staff\", charset=\"UTF-8\"";
    assert_eq!(said(&guard, &[ADA], None, None, false), "verify ada");
    assert_eq!(said(&guard, &[ADA], None, Some(true), false), "X-User as ada");
    assert_eq!(said(&guard, &[ADA], None, Some(false), false), format!("auth-wrong {challenge}"));
    for fields in [&[][..], &[("Authorization", "Bearer x")], &[ADA, ADA]] {
        assert_eq!(
            said(&guard, fields, None, Some(true), false),
            format!("auth-missing {challenge}"),
            "{fields:?}"
        );
    }
    assert_eq!(
        said(&guard, &[("Authorization", "Basic !")], None, Some(true), false),
        format!("auth-wrong {challenge}")
    );
}

#[test]
fn a_key_counts_by_itself() {
    let guard = build(&document::Guard { api_keys: Some(header_keys()), ..nothing() }).unwrap();
    assert_eq!(said(&guard, &[("x-api-key", "abc")], None, None, false), "X-Key-Name as ci");
    assert_eq!(said(&guard, &[("x-api-key", "abd")], None, None, false), "key-unknown ");
    assert_eq!(
        said(&guard, &[("x-api-key", "abc"), ("x-api-key", "abc")], None, None, false),
        "key-unknown "
    );
    assert_eq!(
        said(&guard, &[], Some("X-Api-Key=abc"), None, false),
        "auth-missing WWW-Authenticate: ApiKey"
    );

    let keys = keys(From::Query { name: "key".into() });
    let guard = build(&document::Guard { api_keys: Some(keys), ..nothing() }).unwrap();
    assert_eq!(said(&guard, &[], Some("a=1&key=abc"), None, false), "X-Key-Name as ci");
    assert_eq!(said(&guard, &[], Some("key=abc&key=abc"), None, false), "key-unknown ");
    assert_eq!(guard.secret_parameter(), Some(("key", true)));
}

#[test]
fn either_will_do_and_a_wrong_key_is_not_healed_by_a_password() {
    let both = document::Guard { basic_auth: Some(basic()), api_keys: Some(header_keys()), ..nothing() };
    let guard = build(&both).unwrap();
    assert_eq!(said(&guard, &[("X-Api-Key", "abc")], None, None, false), "X-Key-Name as ci");
    assert_eq!(said(&guard, &[ADA], None, Some(true), false), "X-User as ada");
    assert_eq!(said(&guard, &[("X-Api-Key", "no"), ADA], None, Some(true), false), "key-unknown ");
    assert!(said(&guard, &[], None, None, false).starts_with("auth-missing WWW-Authenticate: Basic"));
}

#[test]
fn the_address_comes_first_and_the_service_last() {
    let access = document::RouteAccess { allow: vec![], deny: vec!["192.0.2.0/24".into()] };
    let all = document::Guard {
        access: Some(access),
        basic_auth: Some(basic()),
        forward_auth: Some(service()),
        ..nothing()
    };
    assert_eq!(said(&build(&all).unwrap(), &[ADA], None, Some(true), true), "address-denied ");
    let guard = build(&document::Guard { access: None, ..all }).unwrap();
    assert!(said(&guard, &[], None, None, false).starts_with("auth-missing"));
    assert_eq!(said(&guard, &[ADA], None, None, false), "verify ada");
    assert_eq!(said(&guard, &[ADA], None, Some(true), false), "ask /verify");
    assert_eq!(said(&guard, &[ADA], None, Some(true), true), "X-User as ada");
    assert_eq!(said(&build(&nothing()).unwrap(), &[], None, None, false), "pass");
}

#[test]
fn what_clients_must_not_say_is_dropped_however_it_is_spelt() {
    let all = document::Guard {
        basic_auth: Some(basic()),
        api_keys: Some(header_keys()),
        forward_auth: Some(service()),
        ..nothing()
    };
    let guard = build(&all).unwrap();
    for name in ["X-User", "x_user", "X-KEY-NAME", "x-role", "X_Role", "authorization", "X-Api-Key"] {
        assert!(guard.drops(name), "{name}");
    }
    for name in ["Cookie", "X-Users", "XUser", "X.User"] {
        assert!(!guard.drops(name), "{name}");
    }
}

/// A change of a guard that is fine.
type Edit<'a> = &'a dyn Fn(&mut document::Guard);

#[test]
fn what_cannot_be_meant_is_refused_with_its_place() {
    let refused = |edit: Edit<'_>| {
        let mut document = document::Guard {
            basic_auth: Some(basic()),
            api_keys: Some(header_keys()),
            forward_auth: Some(service()),
            ..nothing()
        };
        edit(&mut document);
        build(&document).unwrap_err().path
    };
    let cases: [(&str, Edit<'_>); 10] = [
        ("access.deny[0]", &|d| {
            d.access = Some(document::RouteAccess { allow: vec![], deny: vec!["x".into()] })
        }),
        ("basic_auth.realm", &|d| d.basic_auth.as_mut().unwrap().realm = "a\"b".into()),
        ("basic_auth.users[0]", &|d| d.basic_auth.as_mut().unwrap().users[0].1 = "plain".into()),
        ("basic_auth.user_header", &|d| d.basic_auth.as_mut().unwrap().user_header = "Host".into()),
        ("api_keys.keys", &|d| d.api_keys.as_mut().unwrap().keys.clear()),
        ("api_keys.source.name", &|d| {
            d.api_keys.as_mut().unwrap().source = From::Header { name: "Connection".into() }
        }),
        ("forward_auth.pool", &|d| d.forward_auth.as_mut().unwrap().pool = "auht".into()),
        ("forward_auth.path", &|d| d.forward_auth.as_mut().unwrap().path = "verify".into()),
        ("forward_auth.request_headers[0]", &|d| {
            d.forward_auth.as_mut().unwrap().request_headers = vec!["x-forwarded-uri".into()];
        }),
        ("forward_auth.response_headers[0]", &|d| {
            d.forward_auth.as_mut().unwrap().response_headers[0] = "X-Forwarded-For".into();
        }),
    ];
    for (path, edit) in cases {
        assert_eq!(refused(edit), path);
    }
}

#[test]
fn fields_that_say_who_it_is_are_known_over_all_guards() {
    let guards = [
        build(&document::Guard { basic_auth: Some(basic()), ..nothing() }).unwrap(),
        build(&document::Guard { api_keys: Some(header_keys()), ..nothing() }).unwrap(),
        build(&document::Guard {
            forward_auth: Some(document::ForwardAuth {
                response_headers: ["X-Role", "Authorization", "cookie", "x-api-key", "X-User"]
                    .map(Into::into)
                    .into(),
                ..service()
            }),
            ..nothing()
        })
        .unwrap(),
    ];
    let fields = IdentityFields::of(guards.iter()).unwrap();
    for name in ["X-User", "x_user", "X-KEY-NAME", "x-role"] {
        assert!(fields.has(name), "{name}");
    }
    for name in ["Authorization", "Cookie", "X-Api-Key", "X-Users", "Host", ""] {
        assert!(!fields.has(name), "{name}");
    }
    let alone = build(&nothing()).unwrap();
    assert!(IdentityFields::of([&alone].into_iter()).is_none());
}
