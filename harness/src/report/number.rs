//! Numbers as people read them.

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
    let tenths = us.div_euclid(100_000);
    format!("{}.{}", tenths / 10, tenths.rem_euclid(10))
}
