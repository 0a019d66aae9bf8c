//! Finds the character set of texts whose tag does not state it, or states Latin-1 wrongly. The texts of a file and of the
//! other files in its folder are considered together, because a single title is often too short to decide.

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Encoding, SHIFT_JIS, UTF_8, WINDOWS_1252};

/// The fewest letters beyond ASCII from which another Latin character set than Windows-1252 is recognized, such as that of
/// Central Europe. These character sets differ in a few letters only.
const MIN_LATIN_LETTERS: usize = 16;
/// The fewest letters of another script.
const MIN_LETTERS: usize = 2;

/// Texts of the files in a folder, and what is recognised from all of them together.
#[derive(Debug)]
pub(in crate::library) struct Neighbours {
    texts: Vec<Vec<u8>>,
    are_utf8: bool,
    are_shift_jis_with_kana: bool,
    guess: &'static Encoding,
    /// The number of letters beyond ASCII in the texts, decoded with `guess`.
    letters: usize,
}

impl Neighbours {
    pub(in crate::library) fn new(texts: Vec<Vec<u8>>) -> Self {
        let slices: Vec<_> = texts.iter().map(Vec::as_slice).collect();
        let guess = guess_encoding(&slices);
        Neighbours {
            are_utf8: slices.iter().all(|text| is_utf8(text)),
            are_shift_jis_with_kana: is_shift_jis_with_kana(&slices),
            guess,
            letters: letters_beyond_ascii(guess, &slices),
            texts,
        }
    }

    #[cfg(test)]
    pub(in crate::library) fn texts(&self) -> &[Vec<u8>] {
        &self.texts
    }

    fn contains(&self, text: &[u8]) -> bool {
        self.texts.iter().any(|known| known == text)
    }

    /// These texts and those of another file.
    fn with(&self, texts: &[&[u8]]) -> Self {
        let others = texts.iter().map(|text| text.to_vec());
        Neighbours::new(self.texts.iter().cloned().chain(others).collect())
    }

    fn letters_beyond_ascii(&self, encoding: &'static Encoding) -> usize {
        if encoding == self.guess {
            return self.letters;
        }
        let slices: Vec<_> = self.texts.iter().map(Vec::as_slice).collect();
        letters_beyond_ascii(encoding, &slices)
    }
}

/// The character set of the texts `own` of a file, given the texts of its `neighbours`, which may include `own`. UTF-8 if all
/// texts are valid UTF-8, otherwise Windows-1252, which extends Latin-1, unless the texts are clearly in another character set.
pub(in crate::library) fn detect(own: &[&[u8]], neighbours: &Neighbours) -> &'static Encoding {
    let with_own;
    let all = if own.iter().all(|text| neighbours.contains(text)) {
        neighbours
    } else {
        with_own = neighbours.with(own);
        &with_own
    };
    if all.are_utf8 {
        return UTF_8;
    }
    let own: Vec<_> = own
        .iter()
        .copied()
        .filter(|text| !text.is_ascii())
        .collect();
    if all.are_shift_jis_with_kana || is_shift_jis_with_kana(&own) {
        return SHIFT_JIS;
    }
    let guesses = [all.guess, guess_encoding(&own)];
    let fitting = guesses.into_iter().find(|encoding| {
        let letters = all.letters_beyond_ascii(encoding);
        if is_latin(encoding) {
            letters >= MIN_LATIN_LETTERS && decodes_all(encoding, &own)
        } else {
            letters >= MIN_LETTERS && is_plausible(encoding, &own)
        }
    });
    fitting.unwrap_or(WINDOWS_1252)
}

/// Decodes a text, without an incomplete last character, as the fields of ID3v1 have it where they are cut off.
pub(in crate::library) fn decode(encoding: &'static Encoding, text: &[u8]) -> String {
    try_decode(encoding, text).0
}

/// Decodes a text, without an incomplete last character. Also returns whether the text is malformed.
fn try_decode(encoding: &'static Encoding, text: &[u8]) -> (String, bool) {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let capacity = decoder.max_utf8_buffer_length(text.len());
    let mut decoded = String::with_capacity(capacity.unwrap_or(0));
    // Without the end of the text, an incomplete last character is no error.
    let (_, _, is_malformed) = decoder.decode_to_string(text, &mut decoded, false);
    decoded.shrink_to_fit();
    (decoded, is_malformed)
}

fn is_utf8(text: &[u8]) -> bool {
    let (decoded, is_malformed) = try_decode(UTF_8, text);
    // A Latin-1 text whose last letter is beyond ASCII looks like UTF-8 that is cut off.
    let is_cut_off = decoded.len() < text.len();
    !(is_malformed || is_cut_off && decoded.is_ascii())
}

/// Whether the texts are Shift JIS with Japanese kana. The detector takes short texts of this kind for Cyrillic, although the
/// bytes 0x82 and 0x83, with which kana begin, are rare in other character sets.
fn is_shift_jis_with_kana(texts: &[&[u8]]) -> bool {
    let decoded = texts.iter().map(|text| try_decode(SHIFT_JIS, text));
    let decoded: Vec<_> = decoded.collect();
    let count = |is_counted: fn(&char) -> bool| {
        let chars = decoded.iter().flat_map(|(text, _)| text.chars());
        chars.filter(is_counted).count()
    };
    let kana = count(|c| matches!(c, '\u{3041}'..='\u{3096}' | '\u{30a1}'..='\u{30fe}'));
    let beyond_ascii = count(|c| !c.is_ascii());
    !decoded.iter().any(|(_, is_malformed)| *is_malformed) && kana >= 2 && kana * 5 >= beyond_ascii
}

fn guess_encoding(texts: &[&[u8]]) -> &'static Encoding {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    for text in texts {
        detector.feed(text, false);
        detector.feed(b"\n", false);
    }
    detector.feed(b"", true);
    detector.guess(None, Utf8Detection::Deny)
}

/// Whether the character set has Latin letters beyond ASCII, and no other script.
fn is_latin(encoding: &'static Encoding) -> bool {
    matches!(
        encoding.name(),
        "windows-1250" | "windows-1252" | "windows-1254" | "windows-1257" | "windows-1258"
    ) || matches!(encoding.name(), "ISO-8859-2" | "ISO-8859-4")
}

fn decodes_all(encoding: &'static Encoding, texts: &[&[u8]]) -> bool {
    !texts.iter().any(|text| try_decode(encoding, text).1)
}

fn letters_beyond_ascii(encoding: &'static Encoding, texts: &[&[u8]]) -> usize {
    let letters = |text: &&[u8]| {
        let decoded = decode(encoding, text);
        decoded
            .chars()
            .filter(|c| !c.is_ascii() && c.is_alphabetic())
            .count()
    };
    texts.iter().map(letters).sum()
}

/// Whether the texts, decoded, have the letters of another script in words of their own. In Latin-1 texts, words with letters
/// beyond ASCII have ASCII letters, too: `Größe` would be a mixture of two scripts.
fn is_plausible(encoding: &'static Encoding, texts: &[&[u8]]) -> bool {
    if !decodes_all(encoding, texts) {
        return false;
    }
    let (mut pure, mut mixed) = (0, 0);
    for text in texts {
        let decoded = decode(encoding, text);
        let splits_words = encoding.is_single_byte() && has_sign_within_word(&decoded);
        if splits_words || decoded.chars().any(is_unexpected) {
            return false;
        }
        for word in decoded.split(|c: char| !c.is_alphabetic()) {
            let beyond_ascii = word.chars().filter(|c| !c.is_ascii()).count();
            match (beyond_ascii, beyond_ascii == word.chars().count()) {
                (0, _) => {}
                (_, true) => pure += 1,
                (_, false) => mixed += 1,
            }
        }
    }
    pure > 0 && mixed * 3 <= pure
}

/// Whether a sign beyond ASCII that is no apostrophe, hyphen or dot stands between two letters.
fn has_sign_within_word(text: &str) -> bool {
    let chars: Vec<_> = text.chars().collect();
    let is_sign = |c: char| {
        !c.is_ascii()
            && !c.is_alphanumeric()
            && !matches!(c, '\u{ad}' | '·' | '‐'..='—' | '’' | '\u{a0}')
    };
    chars
        .windows(3)
        .any(|chars| is_sign(chars[1]) && chars[0].is_alphabetic() && chars[2].is_alphabetic())
}

/// Characters that no title contains: control characters, box drawings and private characters.
fn is_unexpected(c: char) -> bool {
    matches!(c, '\u{80}'..='\u{9f}' | '\u{2500}'..='\u{257f}' | '\u{e000}'..='\u{f8ff}' | '\u{fffd}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The texts in this character set.
    fn encoded(charset: &str, texts: &[&str]) -> Vec<Vec<u8>> {
        let encoding = Encoding::for_label(charset.as_bytes()).unwrap();
        let encode = |text: &&str| encoding.encode(text).0.into_owned();
        texts.iter().map(encode).collect()
    }

    fn decoded(own: &[Vec<u8>], neighbours: &[Vec<u8>]) -> Vec<String> {
        let own: Vec<_> = own.iter().map(Vec::as_slice).collect();
        let encoding = detect(&own, &Neighbours::new(neighbours.to_vec()));
        own.iter().map(|text| decode(encoding, text)).collect()
    }

    #[test]
    fn recognizes_legacy_character_sets() {
        for (charset, texts) in [
            ("windows-1251", &["Привет мир", "Кино", "Группа крови"][..]),
            ("windows-1251", &["Привет мир"]),
            ("windows-1251", &["ДДТ", "Это всё", "Актриса Весна"]),
            ("koi8-r", &["Привет мир", "Кино", "Группа крови"]),
            (
                "windows-1253",
                &["Μίκης Θεοδωράκης", "Το τρένο φεύγει στις οχτώ"],
            ),
            ("windows-1255", &["שלום עולם", "ירושלים של זהב"]),
            ("shift_jis", &["上を向いて歩こう", "坂本九"]),
            ("shift_jis", &["宇多田ヒカル", "ファースト・ラヴ"]),
            ("gbk", &["月亮代表我的心", "邓丽君"]),
            ("big5", &["月亮代表我的心", "鄧麗君"]),
            ("euc-kr", &["아리랑", "사랑해요"]),
            ("utf-8", &["Café", "Привет"]),
            ("windows-1252", &["Don’t Stop", "“Heroes” – Live…"]),
        ] {
            assert_eq!(decoded(&encoded(charset, texts), &[]), texts, "{charset}");
        }
    }

    #[test]
    fn keeps_latin_1() {
        for texts in [
            &["Café Ñandú Größe"][..],
            &["Björk", "Jóga"],
            &["Motörhead"],
            &["Édith Piaf", "Non, je ne regrette rien"],
            &["À la claire fontaine"],
            &["Mägo de Oz", "Señor"],
            &["Sigur Rós", "Ágætis byrjun", "Svefn-g-englar"],
            &["Ænima", "Ångström", "Blå øjne"],
            &["Die Ärzte", "Müßig gehen", "Schöne Grüße"],
            &["João Gilberto", "Chega de Saudade", "Canção"],
            &["½ Mensch", "© 1985"],
            &["Queensrÿche"],
            &["Hüsker Dü"],
        ] {
            assert_eq!(decoded(&encoded("windows-1252", texts), &[]), texts);
        }
    }

    #[test]
    fn neighbours_decide_short_texts_and_mixed_folders_stay_right() {
        let russian = [
            "Группа крови",
            "Закрой за мной дверь",
            "Война",
            "Спокойная ночь",
        ];
        let russian = encoded("windows-1251", &russian);
        let short = encoded("windows-1251", &["Ты"]);
        assert_eq!(decoded(&short, &russian), ["Ты"]);
        let french = encoded("windows-1252", &["Café Ñandú Größe"]);
        assert_eq!(decoded(&french, &russian), ["Café Ñandú Größe"]);
        let german = encoded(
            "windows-1252",
            &["Schöne Grüße", "Für Elise", "Müßig gehen"],
        );
        let title = encoded("windows-1251", &["Привет мир", "Кино"]);
        assert_eq!(decoded(&title, &german), ["Привет мир", "Кино"]);
    }

    #[test]
    fn removes_a_last_character_that_is_cut_off() {
        let texts = encoded("shift_jis", &["上を向いて歩こう", "坂本九"]);
        let cut = [texts[0][..15].to_vec(), texts[1].clone()];
        assert_eq!(decoded(&cut, &[]), ["上を向いて歩こ", "坂本九"]);
        let utf8 = "Привет мир".as_bytes();
        assert_eq!(decoded(&[utf8[..3].to_vec()], &[]), ["П"]);
    }

    proptest! {
        #[test]
        fn decodes_any_bytes_without_a_panic(
            own in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..5),
            neighbours in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..5),
        ) {
            prop_assert_eq!(decoded(&own, &neighbours).len(), own.len());
        }
    }
}
