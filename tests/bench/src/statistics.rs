//! Medians and quantiles. Nothing here is rounded before it is printed.

/// The middle of some figures; zero of none.
pub(crate) fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.into_iter().collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    if figures.is_empty() {
        0.0
    } else if figures.len() % 2 == 1 {
        figures[middle]
    } else {
        f64::midpoint(figures[middle - 1], figures[middle])
    }
}

/// The figure that this many of a thousand do not exceed. Sorts.
pub(crate) fn quantile(figures: &mut [u32], permille: usize) -> u32 {
    figures.sort_unstable();
    let last = figures.len().saturating_sub(1);
    figures.get(last * permille / 1_000).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middles() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median([]).abs() < 1e-9);
    }

    #[test]
    fn a_quantile_is_one_of_the_figures() {
        let mut figures: Vec<u32> = (1..=100).rev().collect();
        assert_eq!((quantile(&mut figures, 500), quantile(&mut figures, 990)), (50, 99));
    }
}
