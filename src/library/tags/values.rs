//! Parses the values of tags: numbers, years, genres and lists.

use lofty::id3::v1::GENRES;

/// The largest track or disc number. Larger numbers are dates or catalog numbers in the wrong field.
const MAX_NUMBER: u32 = 9_999;

/// The number of a track or disc: `3`, `03/12` or `3 of 12`. `None` for 0 and for texts such as `A1`.
pub(super) fn parse_number(text: &str) -> Option<u32> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let is_whole = !text[end..].starts_with(char::is_alphanumeric);
    let number = text[..end].parse().ok().filter(|_| is_whole);
    number.filter(|number| (1..=MAX_NUMBER).contains(number))
}

/// The year in a date of any spelling: `2001`, `2001-05-03`, `20010503`, `3.5.2001`, `c. 1999`.
pub(super) fn parse_year(text: &str) -> Option<u32> {
    let runs = text.split(|c: char| !c.is_ascii_digit());
    // Dates without separators have 6 (year and month), 8, 12 or 14 digits.
    let mut years = runs
        .filter(|run| matches!(run.len(), 4 | 6 | 8 | 12 | 14))
        .filter_map(|run| run[..4].parse().ok());
    years.find(|year| (1_000..3_000).contains(year))
}

/// Whether the value of a flag is set.
pub(super) fn parse_flag(text: &str) -> bool {
    let text = text.trim();
    text.parse::<f64>().is_ok_and(|number| number > 0.0)
        || ["true", "yes"]
            .iter()
            .any(|yes| text.eq_ignore_ascii_case(yes))
}

/// The genres in a value. ID3 tags refer to genres by numbers: `17`, `(17)`, `(17)Grunge`, `(4)(17)`, where a name after a
/// number refines the genre of that number, and replaces it here.
pub(super) fn parse_genres(text: &str) -> Vec<String> {
    let mut genres = Vec::new();
    let mut rest = text.trim();
    if let Some(genre) = genre_with_number(rest) {
        return vec![genre.to_owned()];
    }
    while let Some((number, after)) = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
        let Some(genre) = genre_with_number(number) else {
            break;
        };
        genres.push(genre.to_owned());
        rest = after.trim();
    }
    // A parenthesis at the beginning of a name is doubled.
    let name = rest
        .strip_prefix('(')
        .filter(|rest| rest.starts_with('('))
        .unwrap_or(rest);
    if !name.is_empty() {
        genres.pop();
        genres.push(name.to_owned());
    }
    genres
}

fn genre_with_number(number: &str) -> Option<&'static str> {
    match number {
        "RX" => Some("Remix"),
        "CR" => Some("Cover"),
        _ if number.bytes().all(|byte| byte.is_ascii_digit()) => number
            .parse()
            .ok()
            .and_then(|number: usize| GENRES.get(number).copied()),
        _ => None,
    }
}

/// Joins the texts with commas, each text once. `None` if all of them are empty.
pub(super) fn joined(texts: impl IntoIterator<Item = String>) -> Option<String> {
    let mut unique: Vec<String> = Vec::new();
    for text in texts {
        if !text.is_empty() && !unique.contains(&text) {
            unique.push(text);
        }
    }
    (!unique.is_empty()).then(|| unique.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_positive_numbers_and_ignores_other_texts() {
        for (text, number) in [
            ("3", Some(3)),
            (" 03/12 ", Some(3)),
            ("3 of 12", Some(3)),
            ("1.", Some(1)),
            ("0", None),
            ("A1", None),
            ("1A", None),
            ("-3", None),
            ("99999999999", None),
            ("", None),
        ] {
            assert_eq!(parse_number(text), number, "{text:?}");
        }
    }

    #[test]
    fn reads_the_year_in_any_spelling() {
        for (text, year) in [
            ("1999", Some(1999)),
            ("2001-05-03", Some(2001)),
            ("2004-05-06T07:08:09", Some(2004)),
            ("20010503", Some(2001)),
            ("3.5.2001", Some(2001)),
            ("05/03/2001", Some(2001)),
            ("c. 1999", Some(1999)),
            ("℗1987", Some(1987)),
            ("1999年", Some(1999)),
            ("0000", None),
            ("0", None),
            ("99", None),
            ("12345", None),
            ("unknown", None),
        ] {
            assert_eq!(parse_year(text), year, "{text:?}");
        }
    }

    #[test]
    fn names_genres_that_are_numbers() {
        for (text, genres) in [
            ("Rock", &["Rock"][..]),
            ("17", &["Rock"]),
            ("(17)", &["Rock"]),
            ("(17)Grunge", &["Grunge"]),
            ("(4)(17)", &["Disco", "Rock"]),
            ("(RX)", &["Remix"]),
            ("((Foo)", &["(Foo)"]),
            ("(Foo) Bar", &["(Foo) Bar"]),
            ("(999)", &["(999)"]),
            ("", &[]),
        ] {
            assert_eq!(parse_genres(text), genres, "{text:?}");
        }
    }

    #[test]
    fn reads_flags_and_joins_texts_once() {
        assert!(parse_flag("1") && parse_flag("True") && parse_flag("1.0"));
        assert!(!parse_flag("0") && !parse_flag("") && !parse_flag("no"));
        let texts = ["First", "", "Second", "First"].map(str::to_owned);
        assert_eq!(joined(texts).unwrap(), "First, Second");
        assert_eq!(joined([]), None);
    }
}
