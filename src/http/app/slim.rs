//! The page's scripts and styles without the comments that have lines to themselves and without what lines are indented by:
//! those are for people, not for phones. Pure. Such lines become empty, so that line numbers stay as they were, and nothing
//! within a line is touched.

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Language {
    /// JavaScript.
    Script,
    /// CSS, where `//` begins no comment.
    Style,
}

impl Language {
    /// The language of the file of that name; `None` when it is neither.
    pub(super) fn of(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1 {
            "js" => Some(Language::Script),
            "css" => Some(Language::Style),
            _ => None,
        }
    }
}

/// The text with every line emptied that holds nothing but a comment, or a part of one, and no other indented.
///
/// It reads lines, not the language: a line inside a string that looks like a comment would be taken for one. The tests
/// see that no file of the page has a string of several lines.
pub(super) fn slimmed(language: Language, text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (length, is_comment) = first_lines(language, rest);
        let (lines, later) = rest.split_at(length);
        if is_comment {
            kept.extend(lines.matches('\n'));
        } else {
            kept.push_str(lines.trim_start_matches([' ', '\t']));
        }
        rest = later;
    }
    kept
}

/// How many bytes the lines have with which `text` begins and that belong together: a comment that has them to itself, or not.
fn first_lines(language: Language, text: &str) -> (usize, bool) {
    let end_of_line = |from: usize| {
        let end = text[from..].find('\n');
        end.map_or(text.len(), |end| from + end + 1)
    };
    let begun = text.trim_start_matches([' ', '\t']);
    if language == Language::Script && begun.starts_with("//") {
        return (end_of_line(0), true);
    }
    let Some(comment) = begun.strip_prefix("/*") else {
        return (end_of_line(0), false);
    };
    let Some(length) = comment.find("*/") else {
        // No browser would read on either.
        return (text.len(), false);
    };
    let end = text.len() - comment.len() + length + "*/".len();
    let last = end_of_line(end);
    (last, text[end..last].trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_that_hold_nothing_but_a_comment_become_empty_and_none_is_indented() {
        use Language::{Script, Style};
        for (language, text, kept) in [
            (Script, "", ""),
            (Script, "a();\n", "a();\n"),
            (Script, "// a\nb();\n", "\nb();\n"),
            (Script, "  \t// a\r\nb();", "\nb();"),
            (Script, "//", ""),
            (Script, "a(); // b\n", "a(); // b\n"),
            (Script, "/** a */\nb();\n", "\nb();\n"),
            (Script, "/* a\n * b\n */\nc();\n", "\n\n\nc();\n"),
            (Script, "/* a\n\n b */  \nc();\n", "\n\n\nc();\n"),
            (Script, "/*/ a\n*/\nb();\n", "\n\nb();\n"),
            (Script, "/** a */ (b).c();\n", "/** a */ (b).c();\n"),
            (
                Script,
                "/* a\n // b\n*/ c();\n// d\n",
                "/* a\n // b\n*/ c();\n\n",
            ),
            (Script, "/* a */ b(); /* c */\n", "/* a */ b(); /* c */\n"),
            (Script, "a(); /* b */\n", "a(); /* b */\n"),
            (Script, "/* never ends\n// a\n", "/* never ends\n// a\n"),
            (Script, "/* ä */\n'ö'; // ü\n", "\n'ö'; // ü\n"),
            (Script, "  a(\n\t' b',\n  );\n", "a(\n' b',\n);\n"),
            (Style, "b {\n  c: d;\n}\n", "b {\nc: d;\n}\n"),
            (Style, "/* a */\nb { c: d }\n", "\nb { c: d }\n"),
            (Style, "// a\n", "// a\n"),
            (Style, "b {\n  /* a\n     c */\n}\n", "b {\n\n\n}\n"),
        ] {
            assert_eq!(slimmed(language, text), kept, "{text:?}");
        }
    }

    #[test]
    fn scripts_and_styles_are_told_by_their_names() {
        for (name, language) in [
            ("js/main.js", Some(Language::Script)),
            ("sw.js", Some(Language::Script)),
            ("css/now.css", Some(Language::Style)),
            ("index.html", None),
            ("manifest.json", None),
            ("js", None),
        ] {
            assert_eq!(Language::of(name), language, "{name}");
        }
    }
}
