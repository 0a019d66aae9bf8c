//! What many times come down to, how that is shown, and whether it meets a goal.

/// The time that such a share of them does not exceed.
pub(crate) fn quantile(times: &[f64], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let at = (times.len() as f64 * share) as usize;
    *times.get(at).or(times.last()).expect("something was timed")
}

/// The p99 of the round in the middle: what else the machine does now and then spoils a round, not all of them.
pub(crate) fn usual_p99(rounds: &[Vec<f64>]) -> f64 {
    let p99s: Vec<f64> = rounds.iter().map(|times| quantile(times, 0.99)).collect();
    quantile(&p99s, 0.5)
}

/// A row of the table; `noise` is the ratio of two figures that should be the same.
pub(crate) fn row(what: &str, before: f64, after: f64, noise: Option<f64>) -> String {
    let noise = noise.map_or(String::new(), |noise| format!("{noise:.2}"));
    let ratio = after / before;
    format!("| {what} | {before:.2} | {after:.2} | {ratio:.2} | {noise} |")
}

/// Says whether a goal is met, and gives that back.
pub(crate) fn judge(what: &str, figure: f64, met: bool, goal: &str) -> bool {
    let verdict = if met { "met" } else { "MISSED" };
    println!("- {verdict}: {what}: {figure:.2}, goal {goal}");
    met
}
