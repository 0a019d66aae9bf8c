//! Cleans short texts that users or files supply, such as device names and the titles in tags, for display in one line.

/// Returns the text as one line of at most `max_chars` characters (Unicode scalar values). Each run of white space and of
/// control, invisible or bidirectional formatting characters becomes one space. Returns an empty string if no visible
/// character remains.
pub(crate) fn clean_line(text: &str, max_chars: usize) -> String {
    let is_separator = |c: char| c.is_whitespace() || c.is_control() || is_invisible(c);
    let words = text.split(is_separator).filter(|word| !word.is_empty());
    let spaced = words.enumerate().flat_map(|(at, word)| {
        let space = (at > 0).then_some(' ');
        space.into_iter().chain(word.chars())
    });
    let line: String = spaced.take(max_chars).collect();
    if line.chars().all(is_invisible_alone) {
        return String::new();
    }
    line.trim_end().to_owned()
}

/// The space, and the joiners, variation selectors and tags that scripts and emoji need between or after other characters. A
/// text may contain these characters, but must not consist of them alone.
fn is_invisible_alone(c: char) -> bool {
    matches!(
        c,
        ' ' | '\u{200c}' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' | '\u{e0020}'..='\u{e007f}'
    )
}

/// Characters without a glyph, and characters that change the direction of the text after them.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_one_line_of_limited_length() {
        assert_eq!(clean_line("  Ann\u{0}e \n\t Marie ", 40), "Ann e Marie");
        assert_eq!(clean_line(&"ü".repeat(100), 40).chars().count(), 40);
        assert_eq!(clean_line("one two", 4), "one");
        assert_eq!(clean_line("👩\u{200d}👧", 40), "👩\u{200d}👧");
    }

    #[test]
    fn removes_invisible_and_bidirectional_characters() {
        for text in [
            "\u{200b}",
            "\u{3164}\u{feff}",
            "\u{200d}\u{fe0f}",
            "\u{2800} \u{ad}",
        ] {
            assert_eq!(clean_line(text, 40), "", "{text:?}");
        }
        assert_eq!(clean_line("Ann\u{202e}gpj.\u{2066}exe", 40), "Ann gpj. exe");
    }
}
