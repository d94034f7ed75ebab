//! Metrics as services tell them, in the format of OpenMetrics or Prometheus.

use std::collections::BTreeMap;

/// One value.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its name, with `_bucket`, `_sum` or `_count` where it is part of a histogram.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
    /// The trace that it names as an example.
    pub example: Option<Example>,
}

/// A trace in which something took so long.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Example {
    /// Its id.
    pub trace: u128,
    /// How long, in seconds.
    pub value: f64,
    /// When, microseconds since 1970.
    pub at_us: i64,
}

/// A metric, its type, and its help text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Family {
    /// `counter`, `gauge` or `histogram`.
    pub kind: String,
    /// What it says that it is.
    pub help: String,
}

/// Everything that a service told at one moment.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Exposition {
    /// The metrics by name: a counter's ends with `_total`.
    pub families: BTreeMap<String, Family>,
    /// All values.
    pub series: Vec<Series>,
}

impl Exposition {
    /// Reads it.
    ///
    /// # Errors
    /// The first line that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_open = text.lines().any(|line| line == "# EOF");
        let mut all = Self::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let wrong = || format!("no metric: {line}");
            if let Some(rest) = line.strip_prefix("# ") {
                all.describe(rest, is_open);
            } else {
                all.series.push(series(line).ok_or_else(wrong)?);
            }
        }
        Ok(all)
    }

    fn describe(&mut self, rest: &str, is_open: bool) {
        let mut words = rest.splitn(3, ' ');
        let (Some(what), Some(name), Some(said)) = (words.next(), words.next(), words.next())
        else {
            return;
        };
        let name = name.to_owned();
        match what {
            "TYPE" if is_open && said == "counter" => {
                let help = self.families.remove(&name).unwrap_or_default().help;
                let kind = said.to_owned();
                self.families.insert(name + "_total", Family { kind, help });
            }
            "TYPE" => said.clone_into(&mut self.families.entry(name).or_default().kind),
            "HELP" => {
                let total = format!("{name}_total");
                let is_counter = is_open && self.families.contains_key(&total);
                let name = if is_counter { total } else { name };
                said.clone_into(&mut self.families.entry(name).or_default().help);
            }
            _ => {}
        }
    }

    /// All series with this name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Series> {
        self.series.iter().filter(move |series| series.name == name)
    }

    /// The sum of all series with this name whose labels have these values.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let meant = self.named(name).filter(|series| series.has(labels));
        meant.map(|series| series.value).sum()
    }
}

impl Series {
    /// Whether its labels have these values.
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        let mut labels = labels.iter();
        labels.all(|(label, value)| self.labels.get(*label).is_some_and(|is| is == value))
    }
}

fn series(line: &str) -> Option<Series> {
    let (line, example) = match line.split_once(" # ") {
        Some((line, example)) => (line, Some(self::example(example)?)),
        None => (line, None),
    };
    let (name, labels, value) = if let Some((name, rest)) = line.split_once('{') {
        let (labels, value) = labels(rest)?;
        (name, labels, value)
    } else {
        let (name, value) = line.split_once(' ')?;
        (name, BTreeMap::new(), value)
    };
    Some(Series {
        name: name.to_owned(),
        labels,
        value: value.trim().parse().ok()?,
        example,
    })
}

/// What stands between the braces, and what follows them.
fn labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, after) = rest.trim_start_matches(',').split_once("=\"")?;
        let (value, after) = quoted(after)?;
        labels.insert(name.to_owned(), value);
        rest = after;
    }
}

/// A text until its closing quote, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

fn example(text: &str) -> Option<Example> {
    let (labels, rest) = labels(text.strip_prefix('{')?)?;
    let mut numbers = rest.split_whitespace();
    let (value, at) = (numbers.next()?, numbers.next()?);
    Some(Example {
        trace: u128::from_str_radix(labels.get("trace_id")?, 16).ok()?,
        value: value.parse().ok()?,
        at_us: micros(at.parse().ok()?),
    })
}

/// A number of things; what is no whole number is none of ours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counters below 2^53"
)]
pub fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

/// Seconds as microseconds.
#[expect(clippy::cast_possible_truncation, reason = "a time since 1970")]
pub fn micros(seconds: f64) -> i64 {
    (seconds * 1e6).round() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_say_the_same() {
        let plain = "# HELP a_total Some.\n# TYPE a_total counter\na_total{x=\"1,\\\"}\"} 3\n";
        let open = "# TYPE a counter\n# HELP a Some.\na_total{x=\"1,\\\"}\"} 3\n# EOF\n";
        let plain = Exposition::parse(plain).unwrap();
        assert_eq!(plain, Exposition::parse(open).unwrap());
        assert_eq!(plain.series[0].labels["x"], "1,\"}");
        assert_eq!(plain.families["a_total"].kind, "counter");
    }

    #[test]
    fn an_example_names_its_trace() {
        let line = "a_bucket{le=\"0.1\"} 2 # {trace_id=\"0f\",span_id=\"01\"} 0.05 1700000000.25\n";
        let all = Exposition::parse(line).unwrap();
        let example = all.series[0].example.unwrap();
        assert_eq!((example.trace, example.at_us), (15, 1_700_000_000_250_000));
        assert!(Exposition::parse("a{x=\"1} 2\n").is_err());
    }
}
