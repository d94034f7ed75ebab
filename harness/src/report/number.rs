//! Numbers and lines as people read them.

/// The widest line of a report.
pub(super) const COLUMNS: usize = 120;

/// A number in groups of three digits.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped
}

/// Microseconds as seconds with one digit.
pub(super) fn seconds(us: i64) -> String {
    let tenths = us.unsigned_abs() / 100_000;
    let sign = if us < 0 && tenths > 0 { "-" } else { "" };
    format!("{sign}{}.{}", tenths / 10, tenths % 10)
}

/// `text` after `head`; what does not fit on the line goes on under its beginning. Words are never cut.
pub(super) fn paragraph(head: &str, text: &str) -> String {
    let indent = head.chars().count();
    let mut lines = vec![head.to_owned()];
    let mut width = indent;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > indent && width + 1 + length > COLUMNS {
            lines.push(" ".repeat(indent));
            width = indent;
        }
        if let Some(line) = lines.last_mut() {
            if width > indent {
                line.push(' ');
                width += 1;
            }
            line.push_str(word);
            width += length;
        }
    }
    let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_in_groups_of_three() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1 000"),
            (1_234_567, "1 234 567"),
        ] {
            assert_eq!(thousands(n), text);
        }
        assert_eq!([seconds(1_250_000), seconds(-100_000)], ["1.2", "-0.1"]);
    }

    #[test]
    fn a_long_text_goes_on_under_its_beginning_and_no_word_is_cut() {
        let text = paragraph("  - ", &"many words ".repeat(30));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| line.chars().count() <= COLUMNS));
        assert!(
            lines[0].starts_with("  - many") && lines[1].starts_with("    "),
            "{text}"
        );
        let long = "x".repeat(2 * COLUMNS);
        assert_eq!(paragraph("  ", &long), format!("  {long}\n"));
    }
}
