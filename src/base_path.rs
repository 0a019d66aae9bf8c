//! The path below which the server answers, for a reverse proxy that serves other sites on the same host.

use std::fmt;
use std::str::FromStr;

/// The path without a slash at its end: empty, or like `/music`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BasePath(String);

/// Why a text is not a base path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a base path, such as /music, consists of letters, digits and the characters - . _ ~")]
pub struct ParseBasePathError;

/// Where a request's path is, relative to the base path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location<'a> {
    /// The path below the base path, with the slash at its beginning.
    Inside(&'a str),
    /// The base path itself, without the slash. Relative addresses of the page would be wrong there.
    WithoutSlash,
    /// Another path.
    Outside,
}

impl BasePath {
    pub(crate) fn locate<'a>(&self, path: &'a str) -> Location<'a> {
        match path.strip_prefix(&*self.0) {
            Some("") if !self.0.is_empty() => Location::WithoutSlash,
            Some(rest) if self.0.is_empty() || rest.starts_with('/') => Location::Inside(rest),
            _ => Location::Outside,
        }
    }

    /// The path of the page, with slashes at its beginning and its end.
    pub fn page(&self) -> String {
        format!("{}/", self.0)
    }

    /// The URL of the page at an origin, such as `http://192.168.1.7:8080`. Without a base path, this is the origin itself,
    /// because users read and type the URL.
    pub fn url(&self, origin: &str) -> String {
        if self.0.is_empty() {
            origin.into()
        } else {
            format!("{origin}{}/", self.0)
        }
    }
}

/// Without a slash at the end.
impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for BasePath {
    type Err = ParseBasePathError;

    /// Slashes at the beginning and at the end are optional.
    fn from_str(text: &str) -> Result<Self, ParseBasePathError> {
        let path = text.trim().trim_matches('/');
        if path.is_empty() {
            return Ok(BasePath::default());
        }
        // Only characters that no client percent-encodes (RFC 3986, 2.3), and no segments that clients remove.
        let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        let is_valid = |segment: &str| {
            !matches!(segment, "" | "." | "..") && segment.bytes().all(is_unreserved)
        };
        if path.split('/').all(is_valid) {
            Ok(BasePath(format!("/{path}")))
        } else {
            Err(ParseBasePathError)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_paths_with_and_without_slashes_at_the_ends() {
        for (text, expected) in [
            ("", ""),
            ("/", ""),
            ("music", "/music"),
            ("/music", "/music"),
            ("/music/", "/music"),
            ("/home/music-2/", "/home/music-2"),
        ] {
            assert_eq!(text.parse::<BasePath>().unwrap().to_string(), expected);
        }
        for text in [
            "/a//b",
            "/a/../b",
            "/a b",
            "/a?b",
            "/a%20b",
            "/ä",
            "http://host/music",
        ] {
            assert!(text.parse::<BasePath>().is_err(), "{text}");
        }
    }

    #[test]
    fn locates_paths_below_the_base_path() {
        let base: BasePath = "/music".parse().unwrap();
        for (path, expected) in [
            ("/music/", Location::Inside("/")),
            ("/music/js/main.js", Location::Inside("/js/main.js")),
            ("/music/music/", Location::Inside("/music/")),
            ("/music", Location::WithoutSlash),
            ("/musical", Location::Outside),
            ("/", Location::Outside),
            ("/healthz", Location::Outside),
            ("*", Location::Outside),
        ] {
            assert_eq!(base.locate(path), expected, "{path}");
        }
        let none = BasePath::default();
        for path in ["/", "/music", "//clock", "*", ""] {
            assert_eq!(none.locate(path), Location::Inside(path));
        }
    }
}
