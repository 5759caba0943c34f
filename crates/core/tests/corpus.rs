//! The first bytes of connections in `tests/golden/proxy_protocol` and `tests/golden/client_hello`, and their fates.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use evenly_core::client_hello::{Hello, NotTls, Progress, Reader};
use evenly_core::proxy_protocol::{Parsed, parse};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A case: its name, its bytes, and what its fate says by key.
struct Case {
    name: String,
    bytes: Vec<u8>,
    fate: BTreeMap<String, String>,
}

fn cases(folder: &str) -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "bin"));
    paths.sort();
    let case = |path: PathBuf| {
        let fate = fs::read_to_string(path.with_extension("fate")).unwrap();
        let pairs = fate.lines().map(|line| line.split_once(": ").unwrap());
        Case {
            name: path.display().to_string(),
            bytes: fs::read(&path).unwrap(),
            fate: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        }
    };
    paths.into_iter().map(case).collect()
}

#[test]
fn proxy_protocol_headers() {
    let cases = cases("proxy_protocol");
    assert!(cases.len() >= 40);
    for Case { name, bytes, fate } in cases {
        match (parse(&bytes), fate["fate"].as_str()) {
            (Ok(Parsed::Header(header, length)), "accept") => {
                let source = header.addresses.map_or("none".into(), |both| both.source.to_string());
                assert_eq!(source, fate["source"], "{name}");
                let destination = header.addresses.map(|both| both.destination.to_string());
                assert_eq!(destination.as_ref(), fate.get("destination"), "{name}");
                assert_eq!(header.tlvs.len().to_string(), fate["tlv-bytes"], "{name}");
                assert_eq!((bytes.len() - length).to_string(), fate["rest-bytes"], "{name}");
                for cut in 0..length {
                    assert_eq!(parse(&bytes[..cut]), Ok(Parsed::More), "{name} cut at {cut}");
                }
            }
            (Ok(Parsed::More), "incomplete") | (Err(_), "reject") => {}
            (found, expected) => panic!("{name}: {expected} expected, {found:?} found"),
        }
    }
}

#[test]
fn client_hellos() {
    let cases = cases("client_hello");
    assert!(cases.len() >= 30);
    for Case { name, bytes, fate } in cases {
        for size in [1, 3, 1000, usize::MAX] {
            let found = fed(&bytes, size);
            match (&found, fate["fate"].as_str()) {
                (Ok(Some(hello)), "accept") => {
                    assert_eq!(hello.server_name.as_deref().unwrap_or("none"), fate["name"], "{name}");
                    let protocols: Vec<_> = hello.protocols().map(String::from_utf8_lossy).collect();
                    let protocols = if protocols.is_empty() { "none".into() } else { protocols.join(" ") };
                    assert_eq!(protocols, fate["protocols"], "{name}");
                }
                (Ok(None), "incomplete") | (Err(_), "reject") => {}
                (found, expected) => panic!("{name} by {size}: {expected} expected, {found:?} found"),
            }
        }
    }
}

fn fed(bytes: &[u8], size: usize) -> Result<Option<Hello>, NotTls> {
    let mut reader = Reader::default();
    for piece in bytes.chunks(size.min(bytes.len())) {
        if let Progress::Hello(hello) = reader.feed(piece)? {
            return Ok(Some(hello));
        }
    }
    Ok(None)
}
