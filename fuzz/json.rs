//! Changes of JSON values that keep a document's shape most of the time, so that a fuzzer gets past its parser.

use serde_json::Value;

/// Numbers at which types and ranges end.
const NUMBERS: [u64; 20] = [
    0,
    1,
    2,
    50,
    51,
    99,
    100,
    101,
    199,
    200,
    599,
    600,
    1023,
    65_535,
    65_536,
    1 << 20,
    1 << 31,
    (1 << 32) - 1,
    1 << 53,
    u64::MAX,
];

/// Pieces of the small languages in a document's strings: addresses, networks, hosts, paths, patterns, templates.
const PIECES: [&str; 40] = [
    "",
    "*",
    "/",
    "/*",
    "//",
    "..",
    "%2e",
    "%",
    "?",
    "#",
    "*.",
    "*.example.com",
    "example.com:*",
    "example.com.",
    ":80",
    "0.0.0.0:0",
    "127.0.0.1:80",
    "[::1]:80",
    "[::ffff:127.0.0.1]:80",
    "::/0",
    "10.0.0.0/8",
    "10.0.0.0/33",
    "{",
    "}",
    "{{",
    "{host}",
    "{path}",
    "{header:}",
    "{header:X-A}",
    "$1",
    "${2}",
    "(a|b)*",
    "(?i)[\\p{L}--a]{1,1000}",
    "^(/.*)$",
    "\\",
    "\"",
    "\r\n",
    "\0",
    "é",
    "Content-Length",
];

/// Changes one value somewhere in `document`, as `seed` says.
pub fn mutate(document: &mut Value, seed: u32) {
    let mut random = Dice(u64::from(seed));
    let count = count(document);
    let donor = nth(document, &mut random.below(count)).map(|value| value.clone()).unwrap_or_default();
    let Some(value) = nth(document, &mut random.below(count)) else { return };
    match random.below(8) {
        0 => *value = donor,
        1 => *value = Value::Null,
        2 => shrink(value, &mut random),
        3 => grow(value, donor, &mut random),
        _ => scalar(value, &mut random),
    }
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        _ => 0,
    }
}

/// The value that `left` others precede, in the order of the text; `left` counts down on the way.
fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, left)),
        _ => None,
    }
}

fn shrink(value: &mut Value, random: &mut Dice) {
    match value {
        Value::Array(items) if !items.is_empty() => drop(items.remove(random.below(items.len()))),
        Value::Object(members) => {
            let name = members.keys().nth(random.below(members.len())).cloned();
            name.and_then(|name| members.remove(&name));
        }
        _ => *value = Value::Null,
    }
}

fn grow(value: &mut Value, donor: Value, random: &mut Dice) {
    match value {
        Value::Array(items) => {
            let twin = items.get(random.below(items.len())).cloned().unwrap_or(donor);
            items.insert(random.below(items.len() + 1), twin);
        }
        Value::Object(members) => drop(members.insert(PIECES[random.below(PIECES.len())].into(), donor)),
        _ => *value = Value::Array(vec![value.take(), donor]),
    }
}

fn scalar(value: &mut Value, random: &mut Dice) {
    match value {
        Value::Bool(set) => *set = !*set,
        Value::Number(_) => *value = NUMBERS[random.below(NUMBERS.len())].into(),
        Value::String(text) => {
            let piece = PIECES[random.below(PIECES.len())];
            let places: Vec<usize> = (0..=text.len()).filter(|at| text.is_char_boundary(*at)).collect();
            match random.below(4) {
                0 => *text = piece.into(),
                1 => text.truncate(places[random.below(places.len())]),
                _ => text.insert_str(places[random.below(places.len())], piece),
            }
        }
        _ if random.below(2) == 0 => *value = NUMBERS[random.below(NUMBERS.len())].into(),
        _ => *value = PIECES[random.below(PIECES.len())].into(),
    }
}
