//! A fault as somebody asks for it: `crash`, `crash@10s`, `network-cut@10s+2s`.

use super::FaultKind;
use std::fmt;
use std::time::Duration;

/// The longest that a fault may last.
const LONGEST: Duration = Duration::from_secs(600);

/// A fault that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What goes wrong.
    pub kind: FaultKind,
    /// When, from the beginning of the load; any time that suits if not given.
    pub at: Option<Duration>,
    /// For how long; as long as usual if not given.
    pub lasts: Option<Duration>,
}

impl From<FaultKind> for Wanted {
    fn from(kind: FaultKind) -> Self {
        Self {
            kind,
            at: None,
            lasts: None,
        }
    }
}

impl Wanted {
    /// Reads `kind`, `kind@when` or `kind@when+howlong`.
    ///
    /// # Errors
    /// Which part cannot be read, and what it could be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, times) = match text.split_once('@') {
            Some((name, times)) => (name, Some(times)),
            None => (text, None),
        };
        let kind = FaultKind::parse(name).ok_or_else(|| {
            let known = FaultKind::ALL.map(FaultKind::as_str).join(" ");
            format!("there is no fault {name:?}; there are: {known}")
        })?;
        let Some(times) = times else {
            return Ok(kind.into());
        };
        if !kind.has_window() {
            return Err(format!(
                "{text:?}: {kind} is in the workload from its beginning to its end; leave {:?} out",
                format!("@{times}")
            ));
        }
        let (at, lasts) = match times.split_once('+') {
            Some((at, lasts)) => (at, Some(lasts)),
            None => (times, None),
        };
        let read = |what: &str, part: &str| {
            let read = time(part).filter(|time| *time <= LONGEST || what == "the time");
            read.ok_or_else(|| {
                format!("{text:?}: {what} {part:?} must be like 10s, 500ms or 2m, at most 10m long")
            })
        };
        let wanted = Self {
            kind,
            at: Some(read("the time", at)?),
            lasts: lasts.map(|lasts| read("the length", lasts)).transpose()?,
        };
        match lasts {
            Some(lasts) if kind.is_over_at_once() => Err(format!(
                "{text:?}: {kind} is over as soon as it has happened; leave {:?} out",
                format!("+{lasts}")
            )),
            _ => Ok(wanted),
        }
    }

    /// When it is over at the latest, as far as somebody has said when it happens.
    pub fn ends(&self) -> Option<Duration> {
        Some(self.at? + self.lasts.unwrap_or_default())
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)?;
        if let Some(at) = self.at {
            write!(f, "@{}", shown(at))?;
        }
        if let Some(lasts) = self.lasts {
            write!(f, "+{}", shown(lasts))?;
        }
        Ok(())
    }
}

/// In the largest unit that needs no fraction.
fn shown(time: Duration) -> String {
    match time.as_millis() {
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// A time with its unit: `15s`, `500ms`, `2m`, `1h`; at most a day.
pub fn time(text: &str) -> Option<Duration> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];
    let seconds = units.into_iter().find_map(|(unit, seconds)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some(number * seconds)
    })?;
    (0.0..=86_400.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_can_have_a_time_and_a_length_and_is_shown_as_it_can_be_read() {
        for text in ["crash", "crash@10s", "network-cut@1.5s+250ms"] {
            let wanted = Wanted::parse(text).unwrap();
            assert_eq!(Wanted::parse(&wanted.to_string()), Ok(wanted), "{text}");
        }
        let cut = Wanted::parse("network-cut@10s+2s").unwrap();
        assert_eq!(cut.to_string(), "network-cut@10s+2s");
        assert_eq!(cut.kind, FaultKind::NetworkCut);
        assert_eq!(cut.ends(), Some(Duration::from_secs(12)));
        assert_eq!(Wanted::parse("crash").unwrap().ends(), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (text, named) in [
            ("networkcut@10s", "no fault \"networkcut\""),
            ("crash@", "the time \"\""),
            ("crash@10", "the time \"10\""),
            ("crash@10s+2", "the length \"2\""),
            ("crash@10s+1h", "the length \"1h\""),
            ("crash@-1s", "the time \"-1s\""),
            ("declines@10s", "leave \"@10s\" out"),
            ("broker-connections@1s+2s", "leave \"+2s\" out"),
        ] {
            let error = Wanted::parse(text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
