//! Words for answers: the same for the same seed.

const WORDS: &[&str] = &[
    "amber", "birch", "cedar", "delta", "ember", "flint", "grove", "heron", "inlet", "juniper", "kelp",
    "larch", "maple", "north", "ocean", "pine",
];

/// As many words as tokens, from the `from`-th on, each followed by a space.
pub(crate) fn words(seed: u64, from: u64, tokens: u64) -> String {
    let word = |position| WORDS[usize::try_from(draw(seed, position) % 16).unwrap_or_default()];
    (from..from + tokens).flat_map(|position| [word(position), " "]).collect()
}

/// A number that depends on seed and position alone (splitmix64).
pub(crate) const fn draw(seed: u64, position: u64) -> u64 {
    let mut z = seed.wrapping_add(position.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Whether the drawn number falls into this share, from 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than the 53 bits that stay")]
pub(crate) fn falls_into(share: f64, drawn: u64) -> bool {
    ((drawn >> 11) as f64) < share * (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_in_pieces_is_the_answer_in_one() {
        assert_eq!(words(7, 0, 2) + &words(7, 2, 3), words(7, 0, 5));
        assert_eq!(words(7, 0, 5).split_whitespace().count(), 5);
        assert_ne!(words(7, 0, 5), words(8, 0, 5));
    }

    #[test]
    fn a_share_of_all_is_all_and_of_nothing_nothing() {
        let hits = |share| (0..1_000).filter(|n| falls_into(share, draw(1, *n))).count();
        assert_eq!((hits(0.0), hits(1.0)), (0, 1_000));
        assert!((150..250).contains(&hits(0.2)), "{}", hits(0.2));
    }
}
