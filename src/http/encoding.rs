//! Which encoding of a body a client takes: RFC 9110, section 12.5.3. Pure.

use hyper::HeaderMap;
use hyper::header::ACCEPT_ENCODING;

/// Whether the client takes gzip, by its name or by `*`, and with a weight other than 0.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    let codings = headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    for coding in codings {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let wanted = parts.all(|part| !is_weight_zero(part));
        // What is said of gzip itself counts, whatever is said of all the others.
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return wanted;
        }
        any |= name == "*" && wanted;
    }
    any
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
    fn gzip_is_sent_to_whoever_names_it_or_takes_anything() {
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
        for (said, takes) in cases {
            let mut headers = HeaderMap::new();
            for &value in said {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(takes_gzip(&headers), takes, "{said:?}");
        }
    }
}
