//! Items as a web shop might keep them: every type of DynamoDB, some 540 bytes of text, the same ones in every run.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

const STATES: [&str; 5] = ["NEW", "PAID", "PACKED", "SHIPPED", "RETURNED"];
const CITIES: [&str; 8] = ["Leeds", "Porto", "Århus", "Kraków", "Lyon", "Graz", "Bergen", "Gent"];
const WORDS: [&str; 16] = [
    "please",
    "leave",
    "parcel",
    "with",
    "the",
    "neighbour",
    "ring",
    "twice",
    "gift",
    "wrapped",
    "fragile",
    "call",
    "before",
    "delivery",
    "behind",
    "garden",
];

/// Small, fast, and the same on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);

        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices[index]
    }
}

/// The partition key of the item of that number.
#[must_use]
pub fn customer(number: u64) -> String {
    customer_text(&mut Random(number))
}

fn customer_text(random: &mut Random) -> String {
    format!("c-{:08}", random.below(90_000_000))
}

/// Appends the item of that number.
pub fn append_item(number: u64, out: &mut String) {
    let mut random = Random(number);
    // Writing to a string cannot fail.
    let _ = write_item(number, &mut random, out);
}

fn write_item(number: u64, random: &mut Random, out: &mut String) -> std::fmt::Result {
    write!(
        out,
        r#"{{"customer":{{"S":"{}"}},"order":{{"S":"2025-{:02}-{:02}#{number:09}"}},"state":{{"S":"{}"}},"total":{{"N":"{}.{:02}"}},"paid":{{"BOOL":{}}}"#,
        customer_text(random),
        1 + random.below(12),
        1 + random.below(28),
        random.pick(&STATES),
        random.below(900),
        random.below(100),
        random.below(2) == 0,
    )?;

    write!(
        out,
        r#","address":{{"M":{{"street":{{"S":"{} High Street"}},"city":{{"S":"{}"}},"country":{{"S":"GB"}}}}}},"lines":{{"L":["#,
        random.below(200),
        random.pick(&CITIES),
    )?;

    for line in 0..=random.below(3) {
        let comma = if line == 0 { "" } else { "," };
        write!(
            out,
            r#"{comma}{{"M":{{"sku":{{"S":"SKU-{:05}"}},"quantity":{{"N":"{}"}},"price":{{"N":"{}.99"}}}}}}"#,
            random.below(20_000),
            1 + random.below(4),
            random.below(90),
        )?;
    }

    write!(out, r#"]}},"tags":{{"SS":["web","{}"]}},"note":{{"S":"#, random.pick(&WORDS))?;
    out.push('"');

    for word in 0..4 + random.below(8) {
        if word > 0 {
            out.push(' ');
        }

        out.push_str(random.pick(&WORDS));
    }

    if random.below(8) == 0 {
        out.push_str(r#" \"thanks\"\n"#);
    }

    out.push_str(r#""},"coupon":{"NULL":true},"mark":{"B":""#);
    STANDARD.encode_string(random.next().to_le_bytes(), out);
    out.push_str(r#""}}"#);

    Ok(())
}
