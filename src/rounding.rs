//! Rounding of numbers that appear in JSON.

/// Rounds to a multiple of the inverse of `steps`. Never returns -0.0, because JSON would show its sign.
pub(crate) fn round_to(value: f64, steps: f64) -> f64 {
    // Adding 0.0 turns -0.0 into 0.0.
    (value * steps).round() / steps + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_the_nearest_step_without_a_negative_zero() {
        assert_eq!(round_to(-1.256, 100.0), -1.26);
        assert_eq!(round_to(0.04, 10.0), 0.0);
        assert!(round_to(-0.04, 10.0).is_sign_positive());
    }
}
