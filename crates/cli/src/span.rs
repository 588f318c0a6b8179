//! Lengths of time as people type them: `90d`, `48h`, `15m`, `30s`, `500ms`.

/// Reads a length of time in milliseconds.
pub(crate) fn millis(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong(text)),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).ok_or_else(|| wrong(text))
}

fn wrong(text: &str) -> String {
    format!("{text:?} is not a length of time such as 90d, 48h, 15m, 30s or 500ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_has_a_unit() {
        assert_eq!([millis("90d"), millis("500ms"), millis("2m")], [Ok(7_776_000_000), Ok(500), Ok(120_000)]);
        for text in ["", "5", "d", "-1d", "1w", "1.5h", "99999999999999999999d", "9999999999999999d"] {
            assert!(millis(text).is_err(), "{text}");
        }
    }
}
