//! Writes metrics in the Prometheus text exposition format, version 0.0.4.

use std::fmt::Write;

use super::{Counters, Histogram, RoomLabel, lock};

/// The type of a metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// A monotonic count.
    Counter,
    /// A current value.
    Gauge,
    /// A distribution in cumulative buckets.
    Histogram,
}

/// Builds the text, one metric family after another.
#[derive(Debug, Default)]
pub struct MetricsText(String);

impl MetricsText {
    /// The media type of the text.
    pub const MEDIA_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Starts a metric family: a metric name, whose samples differ in their labels. `help` must be a single line.
    pub fn family(
        &mut self,
        name: &'static str,
        metric_type: MetricType,
        help: &str,
    ) -> Family<'_> {
        let metric_type = match metric_type {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {metric_type}");
        Family { name, text: self }
    }

    /// The complete text.
    pub fn finish(self) -> String {
        self.0
    }

    /// Writes one sample of the metric whose name is `name` and `suffix`.
    fn line(&mut self, name: &str, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.0 += name;
        self.0 += suffix;
        for (i, (label, value)) in labels.iter().enumerate() {
            let opening = if i == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{opening}{label}=\"{}\"", escape(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }
}

fn escape(value: &str) -> String {
    value
        .replace('\\', r"\\")
        .replace('"', "\\\"")
        .replace('\n', r"\n")
}

/// The samples of one metric family.
#[derive(Debug)]
pub struct Family<'a> {
    name: &'static str,
    text: &'a mut MetricsText,
}

impl Family<'_> {
    /// Adds a sample.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.text.line(self.name, "", labels, value);
    }

    /// Adds a sample of a room, with the label of the room if it has one.
    pub fn room_sample(&mut self, room: &RoomLabel, labels: &[(&str, &str)], value: f64) {
        self.room_line("", room, labels, value);
    }

    /// Adds a sample for each counter. `labels` returns the names and values of the labels for the key of a counter.
    pub(super) fn samples<L: Ord, const N: usize>(
        &mut self,
        room: &RoomLabel,
        counters: &Counters<L>,
        labels: impl Fn(&L) -> [(&'static str, String); N],
    ) {
        for (label, count) in &*lock(&counters.0) {
            let labels = labels(label);
            let labels: Vec<_> = labels.iter().map(|(name, v)| (*name, v.as_str())).collect();
            self.room_sample(room, &labels, *count as f64);
        }
    }

    /// Adds the buckets, the sum and the count of a histogram.
    pub(super) fn histogram(&mut self, room: &RoomLabel, histogram: &Histogram) {
        let observations = lock(&histogram.observations).clone();
        let bounds = histogram.bounds.iter().map(f64::to_string);
        let mut count = 0;
        for (bound, bucket) in bounds.chain(["+Inf".into()]).zip(&observations.buckets) {
            count += bucket;
            self.room_line("_bucket", room, &[("le", &bound)], count as f64);
        }
        let sum = observations.sum.as_secs_f64();
        self.room_line("_sum", room, &[], sum);
        self.room_line("_count", room, &[], count as f64);
    }

    fn room_line(&mut self, suffix: &str, room: &RoomLabel, labels: &[(&str, &str)], value: f64) {
        let room = room.as_deref().map(|room| ("room", room));
        let labels: Vec<_> = room.into_iter().chain(labels.iter().copied()).collect();
        self.text.line(self.name, suffix, &labels, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn escapes_label_values() {
        let mut text = MetricsText::default();
        text.family("a", MetricType::Gauge, "Help.")
            .sample(&[("b", "\"\\\n"), ("c", "")], 1.5);
        assert_eq!(
            text.finish(),
            "# HELP a Help.\n# TYPE a gauge\na{b=\"\\\"\\\\\\n\",c=\"\"} 1.5\n"
        );
    }

    #[test]
    fn histogram_buckets_are_cumulative_and_include_their_bound() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for millis in [100, 500, 501, 2_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut text = MetricsText::default();
        text.family("h", MetricType::Histogram, "Help.")
            .histogram(&None, &histogram);
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
