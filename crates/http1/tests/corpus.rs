//! Every message in `tests/golden/http1` meets its stated fate, whole and in two pieces cut at every byte.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

use evenly_http1::{
    BodyLength, BodyReader, ChunkedDecoder, HeadLimits, RequestHead, ResponseHead, Slots, TargetForm,
    Version, parse_request, parse_response,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const LIMITS: HeadLimits = HeadLimits { head_bytes: 32_768, fields: 100, target_bytes: 8192 };

/// Cutting a message of many kilobytes at every byte would take minutes and show nothing that short ones do not.
const LONGEST_TO_CUT: usize = 2048;

type Fate = BTreeMap<String, String>;

/// The raw messages of a folder with their stated fates.
fn cases(folder: &str) -> Vec<(PathBuf, Vec<u8>, Fate)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/http1").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "http"));
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let raw = fs::read(&path).unwrap();
            let fate = fs::read_to_string(path.with_extension("fate")).unwrap();
            let lines = fate.lines().map(|line| line.split_once(": ").unwrap());
            let fate = lines.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
            (path, raw, fate)
        })
        .collect()
}

fn yes_or_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn framing(body: BodyLength) -> String {
    match body {
        BodyLength::None => "none".to_owned(),
        BodyLength::Length(length) => format!("length {length}"),
        BodyLength::Chunked => "chunked".to_owned(),
        BodyLength::UntilClose => "until-close".to_owned(),
    }
}

fn number(version: Version) -> String {
    version.as_str().trim_start_matches("HTTP/").to_owned()
}

/// Reads the body behind a head. Adds what became of it to `seen`.
fn read_body(body: BodyLength, behind: &[u8], status: &str, seen: &mut Fate) {
    let mut buf = behind.to_vec();
    match BodyReader::from(body).take(&mut buf) {
        Ok(taken) => {
            seen.insert("fate".to_owned(), "accept".to_owned());
            seen.insert("data-bytes".to_owned(), taken.data.to_string());
            seen.insert("rest-bytes".to_owned(), (behind.len() - taken.consumed).to_string());
        }
        Err(_) => *seen = rejected(status, "body"),
    }
}

fn rejected(status: &str, at: &str) -> Fate {
    Fate::from([("fate".to_owned(), format!("reject {status}")), ("at".to_owned(), at.to_owned())])
}

fn request_fate(raw: &[u8]) -> Option<Fate> {
    let mut slots = Slots::new();
    let head = match parse_request(raw, &LIMITS, &mut slots) {
        Ok(head) => head?,
        Err(error) => return Some(rejected(&error.status().to_string(), "head")),
    };
    let mut seen = describe_request(&head);
    read_body(head.body, &raw[head.length..], "400", &mut seen);
    Some(seen)
}

fn describe_request(head: &RequestHead<'_, '_>) -> Fate {
    let form = match head.target.form {
        TargetForm::Origin => "origin",
        TargetForm::Absolute => "absolute",
        TargetForm::Authority => "authority",
        TargetForm::Asterisk => "asterisk",
    };
    let upgrade = head.upgrade.map(|value| String::from_utf8_lossy(value).into_owned());
    [
        ("method", Some(head.method.to_owned())),
        ("target", Some(head.target.raw.to_owned())),
        ("form", Some(form.to_owned())),
        ("path", Some(head.target.path.to_owned())),
        ("query", head.target.query.map(str::to_owned)),
        ("host", Some(head.host.to_owned())),
        ("version", Some(number(head.version))),
        ("body", Some(framing(head.body))),
        ("keep-alive", Some(yes_or_no(head.keep_alive))),
        ("expect-continue", head.expect_continue.then(|| "yes".to_owned())),
        ("upgrade", upgrade),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}

fn response_fate(raw: &[u8], request_method: &str) -> Option<Fate> {
    let mut slots = Slots::new();
    let head = match parse_response(raw, &LIMITS, request_method, &mut slots) {
        Ok(head) => head?,
        Err(_) => return Some(rejected("502", "head")),
    };
    let mut seen = describe_response(&head);
    read_body(head.body, &raw[head.length..], "502", &mut seen);
    Some(seen)
}

fn describe_response(head: &ResponseHead<'_, '_>) -> Fate {
    let upgrade = head.upgrade.map(|value| String::from_utf8_lossy(value).into_owned());
    [
        ("status", Some(head.status.to_string())),
        ("reason", Some(head.reason.to_owned())),
        ("version", Some(number(head.version))),
        ("body", Some(framing(head.body))),
        ("keep-alive", Some(yes_or_no(head.keep_alive))),
        ("upgrade", upgrade),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}

/// Any beginning of a message has the fate of the whole, or none yet; what is accepted early is accepted alike.
fn check_beginnings(path: &Path, raw: &[u8], whole: &Fate, fate_of: impl Fn(&[u8]) -> Option<Fate>) {
    if raw.len() > LONGEST_TO_CUT {
        return;
    }
    for cut in 0..raw.len() {
        let Some(mut seen) = fate_of(&raw[..cut]) else { continue };
        let mut expected = whole.clone();
        if seen["fate"] == "accept" {
            // The rest of the body may be missing, and with it the fault in it.
            for key in ["fate", "at", "data-bytes", "rest-bytes"] {
                expected.remove(key);
                seen.remove(key);
            }
            if whole["fate"] != "accept" {
                assert_eq!(whole["at"], "body", "{} cut at {cut}", path.display());
                continue;
            }
        }
        assert_eq!(seen, expected, "{} cut at {cut}", path.display());
    }
}

#[test]
fn requests_meet_their_fates() {
    let cases = cases("requests");
    assert!(cases.len() >= 250, "the corpus is incomplete");
    for (path, raw, mut fate) in cases {
        fate.remove("why");
        let seen = request_fate(&raw).unwrap_or_else(|| panic!("{} is incomplete", path.display()));
        assert_eq!(seen, fate, "{}", path.display());
        check_beginnings(&path, &raw, &seen, request_fate);
    }
}

#[test]
fn responses_meet_their_fates() {
    let cases = cases("responses");
    assert!(cases.len() >= 70, "the corpus is incomplete");
    for (path, raw, mut fate) in cases {
        fate.remove("why");
        let method = fate.remove("request").unwrap();
        let seen = response_fate(&raw, &method).unwrap_or_else(|| panic!("{} is incomplete", path.display()));
        assert_eq!(seen, fate, "{}", path.display());
        check_beginnings(&path, &raw, &seen, |part| response_fate(part, &method));
    }
}

/// Decodes `pieces` one after another: what is left of each must be nothing unless the body is complete.
fn chunked_fate<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Fate {
    let mut decoder = ChunkedDecoder::new();
    let (mut data, mut rest) = (Vec::new(), 0);
    for piece in pieces {
        let mut buf = piece.to_vec();
        let Ok(decoded) = decoder.decode(&mut buf) else {
            return Fate::from([("fate".to_owned(), "reject".to_owned())]);
        };
        assert!(decoded.done || decoded.consumed == piece.len());
        data.extend_from_slice(&buf[..decoded.data]);
        rest += piece.len() - decoded.consumed;
    }
    let data = String::from_utf8(data).unwrap().replace('\r', "\\r").replace('\n', "\\n");
    let mut fate = Fate::from([("data".to_owned(), data)]);
    if decoder.is_done() {
        fate.insert("fate".to_owned(), "accept".to_owned());
        fate.insert("rest-bytes".to_owned(), rest.to_string());
    } else {
        fate.insert("fate".to_owned(), "incomplete".to_owned());
    }
    fate
}

#[test]
fn chunked_bodies_meet_their_fates_however_they_are_cut() {
    let cases = cases("chunked");
    assert!(cases.len() >= 60, "the corpus is incomplete");
    for (path, raw, mut fate) in cases {
        fate.remove("why");
        assert_eq!(chunked_fate([raw.as_slice()]), fate, "{}", path.display());
        assert_eq!(chunked_fate(raw.chunks(1)), fate, "{} byte by byte", path.display());
        for cut in 0..raw.len().min(LONGEST_TO_CUT) {
            let (start, end) = raw.split_at(cut);
            assert_eq!(chunked_fate([start, end]), fate, "{} cut at {cut}", path.display());
        }
    }
}
