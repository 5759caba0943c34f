//! What must hold for any input: how it is cut does not matter, what is accepted is read as httparse reads it,
//! copying fields is filtering lines, and decoding undoes encoding.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use evenly_http1::{
    BodyReader, CHUNK_END, CHUNK_HEADROOM, ChunkedDecoder, FieldKind, HeadLimits, LAST_CHUNK, Slots,
    chunk_head, parse_request, parse_response,
};
use proptest::collection::vec;
use proptest::prelude::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes: 600, fields: 30, target_bytes: 60 };

/// Pieces of which heads and their faults are made.
const PIECES: [&[u8]; 52] = [
    b"GET ",
    b"POST ",
    b"CONNECT ",
    b"OPTIONS ",
    b"/",
    b"/a?b=c",
    b"*",
    b"http://a.example",
    b"a:1",
    b" HTTP/1.1",
    b" HTTP/1.0",
    b" HTTP/2.0",
    b"HTTP/1.1 200 OK",
    b"HTTP/1.1 204 ",
    b"HTTP/1.0 304",
    b"HTTP/1.1 101 S",
    b"\r\n",
    b"\r\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b" ",
    b"\t",
    b":",
    b"Host: a\r\n",
    b"Host: a\r\n",
    b"host:[::1]:80\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length:",
    b"5",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:",
    b"chunked",
    b"gzip, chunked",
    b"Connection: close\r\n",
    b"Connection: upgrade, X-A\r\n",
    b"Connection:",
    b"keep-alive",
    b"Upgrade: websocket\r\n",
    b"Expect: 100-continue\r\n",
    b"X-A: 1\r\n",
    b"X-A",
    b"x-forwarded-for: 1.2.3.4\r\n",
    b"Cookie: a=b; c=d; e=0123456789abcdef0123456789abcdef\r\n",
    b"X-Very-Long-Field-Name-Indeed: v\r\n",
    b"X_~!: v\r\n",
    b"\xff",
    b"\0",
    b"\x7f",
    b"#",
];

fn any_head() -> impl Strategy<Value = Vec<u8>> {
    let piece = proptest::sample::select(&PIECES[..]).prop_map(<[u8]>::to_vec);
    let noise = vec(any::<u8>(), 0..4);
    vec(prop_oneof![20 => piece, 1 => noise], 0..24).prop_map(|pieces| pieces.concat())
}

/// Heads that are mostly valid: a good start line, then field lines.
fn likely_head() -> impl Strategy<Value = Vec<u8>> {
    let start = proptest::sample::select(vec![
        "GET /a?b HTTP/1.1\r\nHost: a\r\n",
        "POST / HTTP/1.0\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 404\r\n",
    ]);
    let value = "[ \t]{0,2}[!-~]([ -~\t]{0,40}[!-~])?[ \t]{0,2}".prop_map(String::into_bytes);
    let name = prop_oneof![
        4 => "[A-Za-z-]{1,20}",
        1 => "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,40}",
        1 => proptest::sample::select(vec!["Connection", "Keep-Alive", "Server", "X-A", "x-b", "Upgrade"])
            .prop_map(str::to_owned),
    ];
    let field = (name, value).prop_map(|(name, value)| [name.as_bytes(), b":", &value, b"\r\n"].concat());
    (start, vec(field, 0..29), ".{0,20}").prop_map(|(start, fields, behind)| {
        [start.as_bytes(), &fields.concat(), b"\r\n", behind.as_bytes()].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_cut_of_a_request_gives_the_same_or_nothing_yet(raw in prop_oneof![any_head(), likely_head()]) {
        let mut slots = Slots::new();
        let whole = parse_request(&raw, &LIMITS, &mut slots);
        if let Ok(Some(head)) = &whole {
            prop_assert!(head.length <= raw.len());
        }
        for cut in 0..raw.len() {
            let mut slots = Slots::new();
            match parse_request(&raw[..cut], &LIMITS, &mut slots) {
                Ok(None) => prop_assert!(!matches!(whole, Ok(Some(head)) if head.length <= cut), "at {}", cut),
                seen => prop_assert_eq!(&seen, &whole, "cut at {}", cut),
            }
        }
    }

    #[test]
    fn any_cut_of_a_response_gives_the_same_or_nothing_yet(raw in prop_oneof![any_head(), likely_head()]) {
        let mut slots = Slots::new();
        let whole = parse_response(&raw, &LIMITS, "GET", &mut slots);
        for cut in 0..raw.len() {
            let mut slots = Slots::new();
            match parse_response(&raw[..cut], &LIMITS, "GET", &mut slots) {
                Ok(None) => prop_assert!(!matches!(whole, Ok(Some(head)) if head.length <= cut), "at {}", cut),
                seen => prop_assert_eq!(&seen, &whole, "cut at {}", cut),
            }
        }
    }

    #[test]
    fn an_accepted_request_is_read_as_httparse_reads_it(raw in prop_oneof![any_head(), likely_head()]) {
        let mut slots = Slots::new();
        let Ok(Some(head)) = parse_request(&raw, &LIMITS, &mut slots) else { return Ok(()) };
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut other = httparse::Request::new(&mut headers);
        prop_assert_eq!(other.parse(&raw), Ok(httparse::Status::Complete(head.length)));
        prop_assert_eq!(other.method, Some(head.method));
        prop_assert_eq!(other.path, Some(head.target.raw));
        prop_assert_eq!(head.version.as_str(), if other.version == Some(1) { "HTTP/1.1" } else { "HTTP/1.0" });
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name.as_str(), field.value)).collect();
        let others: Vec<_> = other.headers.iter().map(|header| (header.name, header.value)).collect();
        prop_assert_eq!(fields, others);
    }

    #[test]
    fn an_accepted_response_is_read_as_httparse_reads_it(raw in prop_oneof![any_head(), likely_head()]) {
        let mut slots = Slots::new();
        let Ok(Some(head)) = parse_response(&raw, &LIMITS, "GET", &mut slots) else { return Ok(()) };
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut other = httparse::Response::new(&mut headers);
        prop_assert_eq!(other.parse(&raw), Ok(httparse::Status::Complete(head.length)));
        prop_assert_eq!(other.code, Some(head.status));
        let fields: Vec<_> = head.fields.iter().map(|field| (field.name.as_str(), field.value)).collect();
        let others: Vec<_> = other.headers.iter().map(|header| (header.name, header.value)).collect();
        prop_assert_eq!(fields, others);
    }

    #[test]
    fn copying_fields_is_filtering_lines(raw in likely_head(), choice in any::<u64>()) {
        let mut slots = Slots::new();
        let Ok(Some(head)) = parse_request(&raw, &LIMITS, &mut slots) else { return Ok(()) };
        let text = raw[..head.length - 2].split_inclusive(|&byte| byte == b'\n').skip(1);
        let kept = |index: usize| choice >> (index % 64) & 1 == 1;
        let naive = text.enumerate().filter(|(index, _)| kept(*index)).flat_map(|(_, line)| line).copied();
        let mut index = 0;
        let mut out = b"before".to_vec();
        head.copy_fields(&mut out, |_| {
            index += 1;
            kept(index - 1)
        });
        prop_assert_eq!(index, head.fields.len());
        prop_assert_eq!(&out[6..], naive.collect::<Vec<_>>());
    }

    #[test]
    fn fields_named_by_connection_are_dropped(names in vec("[a-z]{1,3}", 1..12), named in vec("[A-Za-z]{1,3}", 1..12)) {
        let fields: String = names.iter().map(|name| format!("{name}: v\r\n")).collect();
        let raw = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}Connection: {}\r\n\r\n", named.join(" ,"));
        let mut slots = Slots::new();
        let head = parse_request(raw.as_bytes(), &LIMITS, &mut slots).unwrap().unwrap();
        for field in head.fields.iter().filter(|field| field.kind == FieldKind::Other) {
            prop_assert_eq!(field.hop, named.iter().any(|name| name.eq_ignore_ascii_case(&field.name)));
        }
    }

    #[test]
    fn decoding_undoes_encoding_however_it_is_cut(
        chunks in vec(vec(any::<u8>(), 1..300), 0..8),
        mut cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let mut raw = Vec::new();
        for chunk in &chunks {
            let mut room = [0; CHUNK_HEADROOM];
            let start = chunk_head(chunk.len(), &mut room);
            raw.extend_from_slice(&room[start..]);
            raw.extend_from_slice(chunk);
            raw.extend_from_slice(CHUNK_END);
        }
        raw.extend_from_slice(LAST_CHUNK);
        raw.extend_from_slice(b"NEXT");
        let mut places: Vec<usize> = cuts.drain(..).map(|cut| cut.index(raw.len())).collect();
        places.push(raw.len());
        places.sort_unstable();
        let mut reader = BodyReader::Chunked(ChunkedDecoder::new());
        let (mut data, mut at) = (Vec::new(), 0);
        for place in places {
            let mut piece = raw[at..place].to_vec();
            let taken = reader.take(&mut piece).unwrap();
            data.extend_from_slice(&piece[..taken.data]);
            at += taken.consumed;
            prop_assert!(taken.done || at == place);
        }
        prop_assert!(reader.is_done());
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!(&raw[at..], b"NEXT");
    }

    #[test]
    fn any_bytes_decode_alike_whole_and_byte_by_byte(
        raw in "[0-9a-f]{0,2}(;[a-z]{1,2}(=\"?[a-z]\"?)?)?(\r\n|\n|.)[ -~]{0,10}(\r\n)?(0\r\n)?(A: b\r\n)?(\r\n)?",
    ) {
        let mut whole = raw.clone().into_bytes();
        let decoded = ChunkedDecoder::new().decode(&mut whole);
        let mut decoder = ChunkedDecoder::new();
        let (mut data, mut consumed) = (Vec::new(), 0);
        let mut failed = None;
        for &byte in raw.as_bytes() {
            let mut piece = [byte];
            match decoder.decode(&mut piece) {
                Ok(step) => {
                    data.extend_from_slice(&piece[..step.data]);
                    consumed += step.consumed;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        match decoded {
            Ok(decoded) => {
                prop_assert_eq!(failed, None);
                prop_assert_eq!(&whole[..decoded.data], data);
                prop_assert_eq!((decoded.consumed, decoded.done), (consumed, decoder.is_done()));
            }
            Err(error) => prop_assert_eq!(failed, Some(error)),
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_read_too_far(raw in vec(any::<u8>(), 0..200)) {
        let mut slots = Slots::new();
        if let Ok(Some(head)) = parse_request(&raw, &LIMITS, &mut slots) {
            prop_assert!(head.length <= raw.len());
        }
        let mut slots = Slots::new();
        if let Ok(Some(head)) = parse_response(&raw, &LIMITS, "GET", &mut slots) {
            prop_assert!(head.length <= raw.len());
        }
        let mut buf = raw.clone();
        if let Ok(decoded) = ChunkedDecoder::new().decode(&mut buf) {
            prop_assert!(decoded.data <= decoded.consumed && decoded.consumed <= raw.len());
            prop_assert_eq!(&buf[decoded.consumed..], &raw[decoded.consumed..]);
        }
    }
}
