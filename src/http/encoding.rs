//! Content negotiation: whether a client accepts gzip (RFC 9110, 12.5.3).

use hyper::HeaderMap;
use hyper::header::ACCEPT_ENCODING;

/// Whether the header `Accept-Encoding` lists gzip or `*` with a weight other than 0.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut accepts_any = false;
    let codings = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let is_accepted = parts.all(|part| !is_weight_zero(part));
        // An entry for gzip takes precedence over `*`, in either order.
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return is_accepted;
        }
        accepts_any |= name == "*" && is_accepted;
    }
    accepts_any
}

fn is_weight_zero(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, weight)| {
        name.trim().eq_ignore_ascii_case("q") && weight.trim().parse() == Ok(0.0)
    })
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn finds_gzip_by_name_or_wildcard_unless_its_weight_is_zero() {
        let cases: [(&[&str], bool); 14] = [
            (&[], false),
            (&[""], false),
            (&["identity"], false),
            (&["br, deflate"], false),
            (&["gzip"], true),
            (&["GZIP"], true),
            (&["x-gzip"], true),
            (&["gzip, deflate, br, zstd"], true),
            (&["br;q=1.0, gzip;q=0.8, *;q=0.1"], true),
            (&["br", "gzip"], true),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["*, gzip; Q=0.000"], false),
            (&["*;q=0, gzip"], true),
        ];
        for (values, expected) in cases {
            let mut headers = HeaderMap::new();
            for &value in values {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(accepts_gzip(&headers), expected, "{values:?}");
        }
    }
}
