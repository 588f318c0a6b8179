//! Numbers in `0–9 A–Z a–z`, fixed width, most significant first: what may stand in a URL, a header and a shell.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE: u64 = 62;

/// Appends the number in exactly `width` digits; what does not fit is cut off at the top.
pub(crate) fn push(out: &mut String, number: u64, width: usize) {
    let digits = std::iter::successors(Some(number), |rest| Some(rest / BASE));
    let reversed: Vec<u8> = digits.take(width).map(digit_of).collect();
    out.extend(reversed.iter().rev().map(|byte| char::from(*byte)));
}

/// Appends 256 bits in exactly 43 digits.
pub(crate) fn push_256(out: &mut String, bytes: &[u8; 32]) {
    let mut number = *bytes;
    let reversed: Vec<u8> = (0..43).map(|_| digit_of(divide(&mut number))).collect();
    out.extend(reversed.iter().rev().map(|byte| char::from(*byte)));
}

/// Reads a number; `None` where a byte is no digit or 64 bits are not enough.
pub(crate) fn parse(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, byte| number.checked_mul(BASE)?.checked_add(value_of(*byte)?))
}

/// Whether the byte is a digit.
pub(crate) const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn digit_of(number: u64) -> u8 {
    ALPHABET[usize::try_from(number % BASE).unwrap_or_default()]
}

fn value_of(digit: u8) -> Option<u64> {
    match digit {
        b'0'..=b'9' => Some(u64::from(digit - b'0')),
        b'A'..=b'Z' => Some(u64::from(digit - b'A') + 10),
        b'a'..=b'z' => Some(u64::from(digit - b'a') + 36),
        _ => None,
    }
}

/// Divides a big-endian number by the base, in place, and gives back the rest.
fn divide(number: &mut [u8; 32]) -> u64 {
    number.iter_mut().fold(0, |rest, byte| {
        let dividend = rest * 256 + u64::from(*byte);
        *byte = u8::try_from(dividend / BASE).unwrap_or(u8::MAX);
        dividend % BASE
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_secret_fits_in_43_digits() {
        let mut bytes = [0xff; 32];
        for _ in 0..43 {
            divide(&mut bytes);
        }
        assert_eq!(bytes, [0; 32]);
    }

    proptest! {
        #[test]
        fn a_number_reads_back_as_it_was_written(number: u64) {
            let mut text = String::new();
            push(&mut text, number, 11);
            prop_assert_eq!(parse(text.as_bytes()), Some(number));
        }

        #[test]
        fn small_numbers_look_the_same_in_256_bits(number: u64) {
            let mut bytes = [0; 32];
            bytes[24..].copy_from_slice(&number.to_be_bytes());
            let (mut wide, mut narrow) = (String::new(), String::new());
            push_256(&mut wide, &bytes);
            push(&mut narrow, number, 11);
            prop_assert_eq!(wide, format!("{}{narrow}", "0".repeat(32)));
        }
    }
}
