//! What many times come down to, and how that is shown.

/// The time that such a share of them does not exceed.
pub(crate) fn quantile(times: &[f64], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let at = (times.len() as f64 * share) as usize;
    *times.get(at).or(times.last()).expect("something was timed")
}

/// A row of the table; `noise` is the ratio of two figures that should be the same.
pub(crate) fn row(what: &str, quick: f64, slow: f64, noise: Option<f64>) -> String {
    let noise = noise.map_or(String::new(), |noise| format!("{noise:.2}"));
    let ratio = slow / quick;
    format!("| {what} | {quick:.2} | {slow:.2} | {ratio:.2} | {noise} |")
}
