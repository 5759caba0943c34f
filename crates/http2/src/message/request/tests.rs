use super::*;
use crate::hpack::Decoder;
use crate::hpack::write_field;
use crate::limits::Limits;
use crate::message::{Refusal, read_section};

/// The text that fields `name=value` become.
fn text(fields: &[&str], is_end: bool, may_extend: bool) -> Result<String, &'static str> {
    let mut block = Vec::new();
    for field in fields {
        let at = field[1..].find('=').unwrap() + 1;
        write_raw(&mut block, &field.as_bytes()[..at], &field.as_bytes()[at + 1..]);
    }
    let mut rooms = Rooms::default();
    let mut request = Request::new(&mut rooms, may_extend, 1);
    let section = read_section(&mut Decoder::new(), &block, &Limits::TYPICAL, &mut request).unwrap();
    match section.refusal {
        None => request.finish(is_end).map(|_| String::from_utf8(rooms.text).unwrap()),
        Some(Refusal::Malformed(what)) => Err(what),
        Some(Refusal::TooLarge) => Err("too large"),
    }
}

/// As it is, without making a name what it should be.
fn write_raw(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if name.iter().any(u8::is_ascii_uppercase) {
        block.extend_from_slice(&[0, u8::try_from(name.len()).unwrap()]);
        block.extend_from_slice(name);
        block.push(u8::try_from(value.len()).unwrap());
        block.extend_from_slice(value);
    } else {
        write_field(block, name, value);
    }
}

const START: [&str; 4] = [":method=GET", ":scheme=https", ":path=/a?b", ":authority=a.example"];

fn with(more: &[&str]) -> Result<String, &'static str> {
    text(&[&START[..], more].concat(), true, false)
}

#[test]
fn a_request_becomes_its_text() {
    assert_eq!(with(&["accept=*/*"]).unwrap(), "GET /a?b HTTP/1.1\r\nhost: a.example\r\naccept: */*\r\n\r\n");
    assert_eq!(with(&[]).unwrap(), "GET /a?b HTTP/1.1\r\nhost: a.example\r\n\r\n");
    assert_eq!(
        with(&["cookie=a=1", "te=trailers", "cookie=b=2", "host=A.example"]).unwrap(),
        "GET /a?b HTTP/1.1\r\nhost: a.example\r\nte: trailers\r\ncookie: a=1; b=2\r\n\r\n"
    );
    assert_eq!(
        with(&["host=a.example:443"]).unwrap(),
        "GET /a?b HTTP/1.1\r\nhost: a.example\r\n\r\n",
        "the scheme's own port says nothing"
    );
    let asterisk = [":method=OPTIONS", ":scheme=http", ":path=*", "host=b"];
    assert_eq!(text(&asterisk, true, false).unwrap(), "OPTIONS * HTTP/1.1\r\nhost: b\r\n\r\n");
}

#[test]
fn the_text_says_how_the_body_is_framed() {
    let post = [":method=POST", ":scheme=http", ":path=/", ":authority=a"];
    let ending = |is_end, more: &[&str]| {
        let text = text(&[&post[..], more].concat(), is_end, false)?;
        Ok(text.strip_prefix("POST / HTTP/1.1\r\nhost: a\r\n").unwrap().to_owned())
    };
    assert_eq!(ending(false, &[]), Ok("transfer-encoding: chunked\r\n\r\n".to_owned()));
    assert_eq!(ending(false, &["content-length=3"]), Ok("content-length: 3\r\n\r\n".to_owned()));
    assert_eq!(ending(true, &[]), Ok("content-length: 0\r\n\r\n".to_owned()));
    assert_eq!(ending(true, &["content-length=0"]), Ok("content-length: 0\r\n\r\n".to_owned()));
    assert_eq!(ending(true, &["content-length=3"]), Err("content-length of a request without content"));
}

#[test]
fn connect_is_a_tunnel() {
    let connect = [":method=CONNECT", ":authority=a:443"];
    assert_eq!(text(&connect, false, false).unwrap(), "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n");
    let refused = |more: &[&str]| text(&[&connect[..], more].concat(), false, false).unwrap_err();
    assert_eq!(refused(&[":path=/"]), "CONNECT with :scheme or :path");
    assert_eq!(refused(&["content-length=1"]), "CONNECT with content-length");
    assert_eq!(text(&[":method=CONNECT"], false, false), Err("CONNECT without :authority"));
}

#[test]
fn extended_connect_is_an_upgrade() {
    let protocol = |name: &str, may_extend| {
        let protocol = format!(":protocol={name}");
        let fields = [
            ":method=CONNECT",
            &protocol,
            ":scheme=https",
            ":path=/chat",
            ":authority=a",
            "sec-websocket-version=13",
        ];
        text(&fields, false, may_extend)
    };
    let websocket = protocol("websocket", true).unwrap();
    let start = "GET /chat HTTP/1.1\r\nhost: a\r\nsec-websocket-version: 13\r\n\
        connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: ";
    let key = websocket.strip_prefix(start).unwrap();
    assert_eq!((key.len(), key.ends_with("==\r\n\r\n")), (28, true));
    assert!(protocol("connect-udp", true).unwrap().ends_with("upgrade: connect-udp\r\n\r\n"));
    assert_eq!(protocol("websocket", false), Err(":protocol where it is not allowed"));
    assert_eq!(protocol("a b", true), Err("invalid :protocol"));
    assert_eq!(protocol("", true), Err("invalid :protocol"));
}

#[test]
fn what_says_nothing_or_two_things_is_malformed() {
    for (more, what) in [
        (&[":method=GET"][..], "repeated pseudo-header"),
        (&["a=b", ":protocol=x"], "pseudo-header behind a field"),
        (&[":status=200"], ":status in a request"),
        (&[":foo=bar"], "invalid field name"),
        (&["A=b"], "invalid field name"),
        (&["a b=c"], "invalid field name"),
        (&["a=b\r\nc: d"], "invalid byte in a value"),
        (&["a=b\0"], "invalid byte in a value"),
        (&["a= b"], "invalid byte in a value"),
        (&["connection=close"], "field for one connection"),
        (&["transfer-encoding=chunked"], "field for one connection"),
        (&["upgrade=websocket"], "field for one connection"),
        (&["te=gzip"], "te with more than trailers"),
        (&["host=b.example"], ":authority and host differ"),
        (&["host=a.example:80"], ":authority and host differ"),
        (&["host=a.example:8443"], ":authority and host differ"),
        (&["host=a.example", "host=a.example"], "repeated host"),
        (&["content-length=+1"], "invalid content-length"),
        (&["content-length=0", "content-length=0"], "repeated content-length"),
        (&["content-length=9223372036854775808"], "invalid content-length"),
        (&["content-length="], "invalid content-length"),
        (&[":protocol=websocket"], ":protocol where it is not allowed"),
    ] {
        assert_eq!(with(more), Err(what), "{more:?}");
    }
    for (fields, what) in [
        (&[":scheme=http", ":path=/"][..], "request without :method"),
        (&[":method=GET", ":path=/"], "request without :scheme"),
        (&[":method=GET", ":scheme=http"], "request without :path"),
        (&[":method=GET", ":scheme=ftp", ":path=/"], "invalid :scheme"),
        (&[":method=GET", ":scheme=http", ":path="], "invalid :path"),
        (&[":method=GET", ":scheme=http", ":path=*"], "invalid :path"),
        (&[":method=GET", ":scheme=http", ":path=a"], "invalid :path"),
        (&[":method=GET", ":scheme=http", ":path=/ HTTP/1.1"], "invalid :path"),
        (&[":method=G T", ":scheme=http", ":path=/"], "invalid :method"),
        (&[":method=", ":scheme=http", ":path=/"], "invalid :method"),
    ] {
        assert_eq!(text(fields, true, false), Err(what), "{fields:?}");
    }
}
