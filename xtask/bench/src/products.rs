//! A large catalogue, believable enough to be searched, made the same every time.

use std::io::{self, Write as _};

const LOOKS: [&str; 16] = [
    "Red", "Blue", "Green", "Walnut", "Oak", "Linen", "Cotton", "Steel", "Copper", "Small", "Large", "Round",
    "Square", "Soft", "Bright", "Quiet",
];
const THINGS: [&str; 16] = [
    "Mug", "Bowl", "Lamp", "Chair", "Desk", "Shirt", "Blanket", "Kettle", "Spoon", "Basket", "Clock", "Vase",
    "Pillow", "Trivet", "Brush", "Tray",
];

/// Spreads numbers over the words: a step of a linear congruential generator (Knuth's MMIX constants).
fn scatter(number: u64) -> u64 {
    number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 33
}

fn word(words: [&'static str; 16], number: u64) -> &'static str {
    words.get(usize::try_from(scatter(number) % 16).unwrap_or(0)).copied().unwrap_or_default()
}

/// The slug of product number `number`.
pub fn slug(number: u64) -> String {
    title(number).to_lowercase().replace(' ', "-")
}

fn title(number: u64) -> String {
    format!("{} {} {} {number}", word(LOOKS, number), word(LOOKS, number + 7), word(THINGS, number + 13))
}

/// So many products in the layout that the import reads.
pub fn write_csv(file: impl io::Write, count: u64) -> io::Result<()> {
    let mut csv = io::BufWriter::new(file);
    writeln!(csv, "slug,title,description,categories,sku,price,stock,image_url,image_alt")?;
    for number in 0..count {
        let words: Vec<&str> =
            (0..30).map(|at| word(if at % 3 == 0 { THINGS } else { LOOKS }, number * 31 + at)).collect();
        let (title, slug) = (title(number), slug(number));
        let (category, cents, stock) =
            (word(THINGS, number + 5), 100 + scatter(number) % 90_000, scatter(number + 3) % 40);
        writeln!(
            csv,
            "{slug},{title},<p>{}.</p>,{category}s,S-{number},{}.{:02},{stock},https://img.example/{number}.jpg,{title}",
            words.join(" "),
            cents / 100,
            cents % 100,
        )?;
    }
    csv.flush()
}

/// What shoppers type: words, beginnings, errors.
pub const SEARCHES: [&str; 8] =
    ["walnut", "blue mug", "wal", "cooper kettle", "soft blanket", "oak desk", "linnen shirt", "round tray"];
