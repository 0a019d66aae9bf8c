//! The text format of Prometheus, version 0.0.4. What is told is not decided here.

use std::fmt::Write;

use super::{Counters, Histogram, lock};

/// What a family of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only ever goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often something took how long.
    Histogram,
}

/// A text in the making.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// Its media type.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Begins a family. `help` is one line.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Into memory, which takes whatever it is given.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family { name, text: self }
    }

    /// All of it.
    pub fn finish(self) -> String {
        self.0
    }

    fn line(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.0 += name;
        self.0 += suffix;
        for (i, (label, value)) in labels.iter().enumerate() {
            let opening = if i == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{opening}{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// Samples of one name.
#[derive(Debug)]
pub struct Family<'a> {
    name: &'static str,
    text: &'a mut Text,
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.line(self.name, "", labels, value);
    }

    /// One for each counter, with these labels.
    pub(super) fn samples<L: Ord, const N: usize>(
        &mut self,
        counters: &Counters<L>,
        labels: impl Fn(&L) -> [(&'static str, String); N],
    ) {
        for (label, count) in &*lock(&counters.0) {
            let labels = labels(label);
            let labels: Vec<_> = labels.iter().map(|(name, v)| (*name, v.as_str())).collect();
            self.sample(&labels, *count as f64);
        }
    }

    /// All of a histogram.
    pub(super) fn histogram(&mut self, histogram: &Histogram) {
        let taken = lock(&histogram.taken).clone();
        let ends = histogram.bounds.iter().map(f64::to_string);
        let mut count = 0;
        for (end, bucket) in ends.chain(["+Inf".into()]).zip(&taken.buckets) {
            count += bucket;
            let labels = [("le", end.as_str())];
            self.text.line(self.name, "_bucket", &labels, count as f64);
        }
        let sum = taken.sum.as_secs_f64();
        self.text.line(self.name, "_sum", &[], sum);
        self.text.line(self.name, "_count", &[], count as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.family("a", Kind::Gauge, "Help.")
            .sample(&[("b", "\"\\\n"), ("c", "")], 1.5);
        assert_eq!(
            text.finish(),
            "# HELP a Help.\n# TYPE a gauge\na{b=\"\\\"\\\\\\n\",c=\"\"} 1.5\n"
        );
    }

    #[test]
    fn the_buckets_of_a_histogram_add_up_and_a_bound_is_in_its_own() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for millis in [100, 500, 501, 2_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut text = Text::default();
        text.family("h", Kind::Histogram, "Help.")
            .histogram(&histogram);
        let text = text.finish();
        let samples: Vec<_> = text.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "h_bucket{le=\"0.5\"} 2",
                "h_bucket{le=\"1\"} 3",
                "h_bucket{le=\"+Inf\"} 4",
                "h_sum 3.101",
                "h_count 4",
            ]
        );
    }
}
