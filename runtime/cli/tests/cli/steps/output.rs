//! Masks the parts of an output that differ between runs: ids, digests, times, durations, sizes,
//! and numbers of several digits.

/// Returns the lines of an output that are not empty, with single blanks and masks.
pub fn masked(text: &str) -> Vec<String> {
    text.lines().map(masked_line).filter(|line| !line.is_empty()).collect()
}

fn masked_line(line: &str) -> String {
    let mut words = line.split_whitespace().peekable();
    let mut masked = Vec::new();
    while let Some(word) = words.next() {
        let unit = if is_number(bare(word)) { words.peek().and_then(|next| mask_of_unit(bare(next))) } else { None };
        if let (Some(mask), Some(unit)) = (unit, words.peek().copied()) {
            masked.push(unit.replace(bare(unit), mask));
            words.next();
        } else {
            masked.push(masked_word(word));
        }
    }
    masked.join(" ")
}

fn masked_word(word: &str) -> String {
    let text = bare(word);
    let is_id = text.len() == 26 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_time = text.len() > 19 && text.get(4..5) == Some("-") && text.get(10..11) == Some("T");
    let mask = if is_id {
        "ID"
    } else if is_time {
        "TIME"
    } else if text.starts_with("sha256:") {
        "DIGEST"
    } else if is_number(text) && text.len() > 1 {
        "NUMBER"
    } else {
        text
    };
    word.replace(text, mask)
}

/// Returns a word without the punctuation around it.
fn bare(word: &str) -> &str {
    word.trim_matches([',', ':', ';', '(', ')'])
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'.')
}

fn mask_of_unit(unit: &str) -> Option<&'static str> {
    match unit {
        "ms" | "s" | "min" => Some("DURATION"),
        "B" | "KiB" | "MiB" => Some("SIZE"),
        _ => None,
    }
}
