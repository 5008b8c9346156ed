//! Changes of JSON by its structure, and of its text.

use hotset_testkit::Random;
use serde_json::{Map, Number, Value, json};

use super::{bytes, extreme_number, once_in, pick};

/// Longest list that a short one is grown to.
const LONG: usize = 4000;
/// And its bytes.
const LONG_BYTES: usize = 1 << 18;

/// One to four changes of the structure.
pub fn mutate(random: &mut Random, value: &mut Value) {
    for _ in 0..1 + random.below(2) * random.below(4) {
        let place = descend(random, value);
        match place {
            Value::Object(fields) if !fields.is_empty() && !once_in(random, 6) => {
                change_object(random, fields);
            }
            Value::Array(items) if !items.is_empty() && !once_in(random, 6) => change_array(random, items),
            other => *other = changed(random, other),
        }
    }
}

/// The text, now and then with a key twice, or damaged.
pub fn to_text(random: &mut Random, value: &Value) -> Vec<u8> {
    let mut text = value.to_string().into_bytes();
    if once_in(random, 8) {
        double_key(random, value, &mut text);
    }
    if once_in(random, 8) {
        let numbers = number_places(&text);
        if !numbers.is_empty() {
            let range = pick(random, &numbers).clone();
            let odd =
                *pick(random, &["1e999", "-0", "00", "-", "1e-999", "18446744073709551616", "NaN", "1."]);
            text.splice(range, odd.bytes());
        }
    }
    if once_in(random, 10) {
        bytes::mutate(random, &mut text, &[]);
    }
    text
}

/// A place as far down as chance takes it.
fn descend<'a>(random: &mut Random, value: &'a mut Value) -> &'a mut Value {
    let inner = match value {
        Value::Object(fields) => fields.len(),
        Value::Array(items) => items.len(),
        _ => 0,
    };
    if inner == 0 || once_in(random, 3) {
        return value;
    }
    let nth = random.below(inner);
    let child = match value {
        Value::Object(fields) => fields.values_mut().nth(nth),
        other => other.get_mut(nth),
    };
    descend(random, child.expect("it has so many"))
}

fn change_object(random: &mut Random, fields: &mut Map<String, Value>) {
    let keys: Vec<String> = fields.keys().cloned().collect();
    let key = pick(random, &keys).clone();
    match random.below(6) {
        0 => drop(fields.shift_remove(&key)),
        1 => {
            let value = fields.shift_remove(&key).unwrap_or_default();
            let name = if once_in(random, 2) { pick(random, &keys).clone() } else { odd_text(random) };
            fields.insert(name, value);
        }
        2 => {
            let value = fields[pick(random, &keys)].clone();
            fields.insert(key, value);
        }
        3 => drop(fields.insert(odd_text(random), odd_value(random))),
        _ => {
            let value = changed(random, &fields[&key]);
            fields.insert(key, value);
        }
    }
}

fn change_array(random: &mut Random, items: &mut Vec<Value>) {
    let (at, other) = (random.below(items.len()), random.below(items.len()));
    match random.below(7) {
        0 => drop(items.remove(at)),
        1 => items.insert(at, items[other].clone()),
        2 => items.swap(at, other),
        3 => items.truncate(at),
        4 => items.push(odd_value(random)),
        5 if items.len() < 16 => {
            // What is in a long list may become long, too: together they stay small.
            let bytes: usize = items.iter().map(|item| item.to_string().len()).sum();
            let all = LONG.min(items.len() * LONG_BYTES / bytes.max(1));
            let longer = items.iter().cycle().take(all.max(items.len())).cloned().collect();
            *items = longer;
        }
        _ => items[at] = changed(random, &items[at]),
    }
}

/// Something like it, or something else.
fn changed(random: &mut Random, value: &Value) -> Value {
    match value {
        Value::Number(number) if !once_in(random, 3) => match (number.as_i64(), random.below(4)) {
            (Some(n), 0) => n.wrapping_add(1).into(),
            (Some(n), 1) => n.wrapping_sub(1).into(),
            (Some(n), 2) => n.wrapping_mul(2).into(),
            _ => odd_number(random),
        },
        Value::String(text) if once_in(random, 2) => {
            Value::String(super::text::mutate(random, text, &["<|im_end|>", "Ġ", "\u{0}", "\u{1b}[2J"]))
        }
        Value::Bool(flag) if once_in(random, 2) => (!flag).into(),
        inner if once_in(random, 12) => {
            let depth = 1 + random.below(300);
            (0..depth).fold(inner.clone(), |inner, _| json!([inner]))
        }
        _ => odd_value(random),
    }
}

fn odd_value(random: &mut Random) -> Value {
    match random.below(8) {
        0 => Value::Null,
        1 => once_in(random, 2).into(),
        2 => json!([]),
        3 => json!({}),
        4 => odd_text(random).into(),
        5 => json!([odd_number(random), odd_text(random)]),
        _ => odd_number(random),
    }
}

fn odd_number(random: &mut Random) -> Value {
    const FRACTIONS: [f64; 8] = [0.5, -0.0, -1.5, 1e-320, 1e-7, 1e30, 1e308, -1e308];
    match random.below(4) {
        0 => Number::from_f64(*pick(random, &FRACTIONS)).into(),
        1 => (extreme_number(random) as i64).wrapping_neg().into(),
        _ => extreme_number(random).into(),
    }
}

fn odd_text(random: &mut Random) -> String {
    const TEXTS: [&str; 10] = [
        "",
        "\0",
        "\u{1b}]0;x\u{7}",
        "\u{202e}abc",
        "../../../etc/passwd",
        "🦀",
        "null",
        "-1",
        "a\nb",
        "\u{feff}",
    ];
    match random.below(6) {
        0 => "a".repeat(1 << random.below(17)),
        1 => "\u{1b}".repeat(1 + random.below(3000)),
        _ => (*pick(random, &TEXTS)).to_owned(),
    }
}

/// Puts a key that the text has somewhere in front of the first field of some object.
fn double_key(random: &mut Random, value: &Value, text: &mut Vec<u8>) {
    let mut keys = Vec::new();
    collect_keys(value, &mut keys);
    let objects: Vec<usize> = (1..text.len()).filter(|&i| text[i - 1..=i] == *b"{\"").collect();
    if keys.is_empty() || objects.is_empty() {
        return;
    }
    let field = format!("{}:{},", json!(pick(random, &keys)), odd_value(random));
    let at = *pick(random, &objects);
    text.splice(at..at, field.into_bytes());
}

fn collect_keys(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields.iter().take(200) {
                keys.push(key.clone());
                collect_keys(value, keys);
            }
        }
        Value::Array(items) => items.iter().take(20).for_each(|item| collect_keys(item, keys)),
        _ => {}
    }
}

/// Where runs of digits stand.
fn number_places(text: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut places = Vec::new();
    let mut at = 0;
    for run in text.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit()) {
        if run[0].is_ascii_digit() {
            places.push(at..at + run.len());
        }
        at += run.len();
    }
    places
}
