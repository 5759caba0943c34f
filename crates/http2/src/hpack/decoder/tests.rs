use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

fn read(decoder: &mut Decoder, block: &[u8]) -> Result<String, CompressionError> {
    let mut block = Block::new(block);
    let mut text = Vec::new();
    while let Some(field) = decoder.next(&mut block)? {
        text.extend_from_slice(field.text);
    }
    Ok(String::from_utf8(text).unwrap())
}

/// Blocks one after the other, what they say, and the size of the table behind each.
fn check(decoder: &mut Decoder, blocks: &[(&str, &[&str], usize)]) {
    for (hex, lines, size) in blocks {
        let wanted = lines.iter().fold(String::new(), |text, line| text + line + "\r\n");
        assert_eq!(read(decoder, &bytes(hex)), Ok(wanted));
        assert_eq!(decoder.table.bytes(), *size);
    }
}

/// RFC 7541, Appendix C.2: each representation alone.
#[test]
fn representations() {
    let custom = "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572";
    check(&mut Decoder::new(), &[(custom, &["custom-key: custom-header"], 55)]);
    check(&mut Decoder::new(), &[("040c 2f73 616d 706c 652f 7061 7468", &[":path: /sample/path"], 0)]);
    check(&mut Decoder::new(), &[("1008 7061 7373 776f 7264 0673 6563 7265 74", &["password: secret"], 0)]);
    check(&mut Decoder::new(), &[("82", &[":method: GET"], 0)]);
}

const REQUESTS: [&[&str]; 3] = [
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];

/// Appendix C.3 and C.4: requests, without and with Huffman code.
#[test]
fn requests() {
    check(
        &mut Decoder::new(),
        &[
            ("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", REQUESTS[0], 57),
            ("8286 84be 5808 6e6f 2d63 6163 6865", REQUESTS[1], 110),
            ("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", REQUESTS[2], 164),
        ],
    );
    check(
        &mut Decoder::new(),
        &[
            ("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", REQUESTS[0], 57),
            ("8286 84be 5886 a8eb 1064 9cbf", REQUESTS[1], 110),
            ("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", REQUESTS[2], 164),
        ],
    );
}

const RESPONSES: [&[&str]; 3] = [
    &[
        ":status: 302",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ],
    &[
        ":status: 307",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:21 GMT",
        "location: https://www.example.com",
    ],
    &[
        ":status: 200",
        "cache-control: private",
        "date: Mon, 21 Oct 2013 20:13:22 GMT",
        "location: https://www.example.com",
        "content-encoding: gzip",
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ],
];

/// Appendix C.5 and C.6: responses in a table of 256 bytes, so that entries leave.
#[test]
fn responses() {
    let mut decoder = Decoder::new();
    decoder.table.resize(256);
    check(
        &mut decoder,
        &[
            (
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
                 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
                 6c65 2e63 6f6d",
                RESPONSES[0],
                222,
            ),
            ("4803 3330 37c1 c0bf", RESPONSES[1], 222),
            (
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
                 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
                 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
                 3d31",
                RESPONSES[2],
                215,
            ),
        ],
    );
    let mut decoder = Decoder::new();
    decoder.table.resize(256);
    check(
        &mut decoder,
        &[
            (
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
                 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                RESPONSES[0],
                222,
            ),
            ("4883 640e ffc1 c0bf", RESPONSES[1], 222),
            (
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
                 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
                 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
                RESPONSES[2],
                215,
            ),
        ],
    );
}

#[test]
fn what_is_no_block_is_refused() {
    for (block, what) in [
        (&b"\x80"[..], "index 0"),
        (b"\xbe", "index beyond the table"),
        (b"\xff\x00", "index beyond the table"),
        (b"\x7e\x01a", "index beyond the table"),
        (b"\xff", "block ends in a number"),
        (b"\xff\x80\x80\x80\x80\x00", "number too large"),
        (b"\x00", "block ends in a number"),
        (b"\x00\x02a", "string longer than the block"),
        (b"\x00\x01a\x82\x00", "string longer than the block"),
        (b"\x00\x01a\x81\xff", "invalid Huffman code"),
        (b"\x00\x01a\x84\xff\xff\xff\xff", "invalid Huffman code"),
        (b"\x82\x20", "table size update behind a field"),
        (b"\x3f\xe2\x1f", "table size beyond the setting"),
    ] {
        assert_eq!(read(&mut Decoder::new(), block), Err(CompressionError(what)), "{block:02x?}");
    }
    // 4,096 is what the setting allows, and there may be two updates.
    assert_eq!(read(&mut Decoder::new(), b"\x20\x3f\xe1\x1f\x82"), Ok(":method: GET\r\n".to_owned()));
}

#[test]
fn a_name_may_come_from_an_entry_that_has_to_leave_for_it() {
    let mut decoder = Decoder::new();
    let long = "v".repeat(4000);
    let mut block = b"\x40\x04name\x7f\xa1\x1e".to_vec();
    block.extend_from_slice(long.as_bytes());
    assert_eq!(read(&mut decoder, &block), Ok(format!("name: {long}\r\n")));
    let mut block = b"\x7e\x7f\xa1\x1e".to_vec();
    block.extend_from_slice(long.as_bytes());
    assert_eq!(read(&mut decoder, &block), Ok(format!("name: {long}\r\n")));
    assert_eq!(decoder.table.bytes(), 4036);
}

#[test]
fn soundness_is_kept_with_the_entry() {
    let mut decoder = Decoder::new();
    let block = b"\x40\x01a\x03b\nc\x40\x01A\x01b\xbf\xbe";
    let mut block = Block::new(block);
    let mut seen = Vec::new();
    while let Some(field) = decoder.next(&mut block).unwrap() {
        seen.push((field.kind, field.is_sound));
    }
    let expected = [(Kind::Other, false), (Kind::Invalid, true)];
    assert_eq!(seen, [expected, expected].concat());
}
