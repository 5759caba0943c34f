//! Reads a browser's request head and copies its fields N times, for counting instructions:
//!
//! ```text
//! cargo build --release -p evenly-http1 --example head_cost
//! valgrind --tool=callgrind target/release/examples/head_cost 10000     # and 20000; the difference / 10,000 is a head
//! ```
//!
//! A second argument chooses what is counted: `rewrite` (the default), `parse` without copying, `small` (the request
//! of a load generator, rewritten), `response`, or `httparse`, which is what httparse takes to read the browser's
//! request without any check of ours.

use evenly_http1::{HeadLimits, Slots, parse_request, parse_response};
use std::hint::black_box;
use std::mem::MaybeUninit;

const REQUEST: &[u8] = b"GET /assets/app.js?v=3 HTTP/1.1\r\n\
    Host: shop.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Referer: https://shop.example.com/cart\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=6f1c2ab94e7d; theme=dark\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Priority: u=0, i\r\n\r\n";

const SMALL_REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Content-Length: 612\r\n\
    Last-Modified: Tue, 19 Sep 2023 10:00:00 GMT\r\n\
    Connection: keep-alive\r\n\
    ETag: \"650970c0-264\"\r\n\
    Accept-Ranges: bytes\r\n\r\n";

const LIMITS: HeadLimits = HeadLimits { head_bytes: 32_768, fields: 100, target_bytes: 8192 };

fn main() {
    let mut arguments = std::env::args().skip(1);
    let heads: u32 = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10_000);
    let what = arguments.next().unwrap_or_else(|| "rewrite".to_owned());
    let mut out = Vec::with_capacity(4096);
    for _ in 0..heads {
        out.clear();
        match what.as_str() {
            "parse" => parse(black_box(REQUEST)),
            "rewrite" => rewrite(black_box(REQUEST), &mut out),
            "small" => rewrite(black_box(SMALL_REQUEST), &mut out),
            "response" => rewrite_response(black_box(RESPONSE), &mut out),
            _ => read_by_httparse(black_box(REQUEST)),
        }
        black_box(&out);
    }
}

#[inline(never)]
fn parse(buf: &[u8]) {
    let mut slots = Slots::new();
    let _ = black_box(parse_request(buf, &LIMITS, &mut slots));
}

#[inline(never)]
fn rewrite(buf: &[u8], out: &mut Vec<u8>) {
    let mut slots = Slots::new();
    if let Ok(Some(head)) = parse_request(buf, &LIMITS, &mut slots) {
        out.extend_from_slice(head.method.as_bytes());
        out.push(b' ');
        out.extend_from_slice(head.target.raw.as_bytes());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        head.copy_fields(out, |field| !field.hop);
        out.extend_from_slice(b"\r\n");
    }
}

#[inline(never)]
fn rewrite_response(buf: &[u8], out: &mut Vec<u8>) {
    let mut slots = Slots::new();
    if let Ok(Some(head)) = parse_response(buf, &LIMITS, "GET", &mut slots) {
        evenly_http1::write_status_line(out, head.version, head.status, head.reason);
        head.copy_fields(out, |field| !field.hop);
        out.extend_from_slice(b"\r\n");
    }
}

#[inline(never)]
fn read_by_httparse(buf: &[u8]) {
    let mut headers = [const { MaybeUninit::uninit() }; 100];
    let mut request = httparse::Request::new(&mut []);
    let _ = black_box(request.parse_with_uninit_headers(buf, &mut headers));
}
