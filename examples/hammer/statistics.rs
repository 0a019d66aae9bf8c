//! Quantiles of measured times, table rows, and comparisons with goals.

/// The quantile `share` (0 to 1) of `times`. Panics if `times` is empty.
pub(crate) fn quantile(times: &[f64], share: f64) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let index = (times.len() as f64 * share) as usize;
    *times
        .get(index)
        .or(times.last())
        .expect("at least one measured time")
}

/// The median of the p99 of each round. A single p99 of all rounds would include the rounds that other work disturbed.
pub(crate) fn median_p99(rounds: &[Vec<f64>]) -> f64 {
    let p99s: Vec<f64> = rounds.iter().map(|times| quantile(times, 0.99)).collect();
    quantile(&p99s, 0.5)
}

/// The p50 of all rounds together.
pub(crate) fn overall_p50(rounds: &[Vec<f64>]) -> f64 {
    quantile(&rounds.concat(), 0.5)
}

/// A table row: two figures, their ratio, and `noise`, which is the ratio of two measurements of the same baseline.
pub(crate) fn row(label: &str, baseline: f64, loaded: f64, noise: Option<f64>) -> String {
    let noise = noise.map_or(String::new(), |noise| format!("{noise:.2}"));
    let ratio = loaded / baseline;
    format!("| {label} | {baseline:.2} | {loaded:.2} | {ratio:.2} | {noise} |")
}

/// Prints whether a goal is met, and returns `met`.
pub(crate) fn print_goal(label: &str, figure: f64, met: bool, goal: &str) -> bool {
    let result = if met { "met" } else { "MISSED" };
    println!("- {result}: {label}: {figure:.2}, goal {goal}");
    met
}

/// Times in milliseconds, one list for each round. The baseline is measured before and after the load of the same round.
#[derive(Default)]
pub(crate) struct Comparison {
    pub(crate) before: Vec<Vec<f64>>,
    pub(crate) loaded: Vec<Vec<f64>>,
    pub(crate) after: Vec<Vec<f64>>,
}

impl Comparison {
    /// Prints a row for the p50 and a row for the p99. Returns the p99's label and its ratio to the baseline.
    pub(crate) fn print_rows(&self, label: &str) -> (String, f64) {
        let baseline = [&self.before[..], &self.after[..]].concat();
        let noise = |figure: fn(&[Vec<f64>]) -> f64| figure(&self.after) / figure(&self.before);
        let p50 = overall_p50;
        let p50_label = format!("{label}, p50 ms");
        println!(
            "{}",
            row(
                &p50_label,
                p50(&baseline),
                p50(&self.loaded),
                Some(noise(p50))
            )
        );
        let (baseline, loaded) = (median_p99(&baseline), median_p99(&self.loaded));
        let rounds = self.loaded.len();
        let p99_label = format!("{label}, p99 ms, median of {rounds} rounds");
        let noise = Some(noise(median_p99));
        println!("{}", row(&p99_label, baseline, loaded, noise));
        (p99_label, loaded / baseline)
    }
}
