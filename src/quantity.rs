//! Sizes and durations in flags.

use std::time::Duration;

/// Parses a number of bytes: `1500000`, or with a suffix `K`, `M`, `G` or `T` for powers of 1024.
///
/// # Errors
/// A message for the command line.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, &'static str> {
    const MESSAGE: &str = "expected a number of bytes, such as 2G or 500M";
    let text = text.trim();
    let (number, power) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1),
        Some((at, 'm' | 'M')) => (&text[..at], 2),
        Some((at, 'g' | 'G')) => (&text[..at], 3),
        Some((at, 't' | 'T')) => (&text[..at], 4),
        _ => (text, 0),
    };
    let number: u64 = number.parse().map_err(|_| MESSAGE)?;
    number.checked_mul(1 << (10 * power)).ok_or(MESSAGE)
}

/// A time after which something is removed; `None`: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime(pub Option<Duration>);

/// Parses a [`Lifetime`]: `forever`, or a number with a suffix `s`, `m`, `h` or `d`.
///
/// # Errors
/// A message for the command line.
pub(crate) fn parse_lifetime(text: &str) -> Result<Lifetime, &'static str> {
    const MESSAGE: &str = "expected a time, such as 24h or 7d, or forever";
    let text = text.trim();
    if text == "forever" {
        return Ok(Lifetime(None));
    }
    let (at, unit) = text.char_indices().last().ok_or(MESSAGE)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(MESSAGE),
    };
    let number: u64 = text[..at].parse().map_err(|_| MESSAGE)?;
    let seconds = number.checked_mul(seconds).ok_or(MESSAGE)?;
    Ok(Lifetime(Some(Duration::from_secs(seconds))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_sizes_with_suffixes() {
        assert_eq!(parse_bytes("2G"), Ok(2 << 30));
        assert_eq!(parse_bytes(" 500m"), Ok(500 << 20));
        assert_eq!(parse_bytes("17"), Ok(17));
        for invalid in ["", "G", "-1", "1.5G", "2GB", "99999999999T", "2ü"] {
            assert!(parse_bytes(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn parses_lifetimes() {
        let hours = |n: u64| Ok(Lifetime(Some(Duration::from_secs(n * 3_600))));
        assert_eq!(parse_lifetime("24h"), hours(24));
        assert_eq!(parse_lifetime("2d"), hours(48));
        assert_eq!(parse_lifetime("90m").unwrap().0.unwrap().as_secs(), 5_400);
        assert_eq!(parse_lifetime("forever"), Ok(Lifetime(None)));
        for invalid in ["", "h", "24", "-1h", "1.5h", "ever", "2ü"] {
            assert!(parse_lifetime(invalid).is_err(), "{invalid}");
        }
    }
}
