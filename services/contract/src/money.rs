//! Money is whole cents and amounts are checked: there is no float and no silent overflow anywhere.

use serde::{Deserialize, Serialize};

/// An amount in cents, from 0 to [`Cents::MAX`].
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(try_from = "i64", into = "i64")]
#[schemars(extend("minimum" = 0, "maximum" = 9_007_199_254_740_991_i64))]
pub struct Cents(i64);

impl Cents {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount: 2^53 - 1, the largest integer that every JSON reader holds exactly.
    pub const MAX: Self = Self(9_007_199_254_740_991);
    /// The largest price of one unit, 10^12 cents.
    pub const MAX_PRICE: Self = Self(1_000_000_000_000);

    /// The number of cents.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// This price times `quantity`; none if the result is above [`Cents::MAX`].
    pub fn times(self, quantity: Quantity) -> Option<Self> {
        self.0
            .checked_mul(quantity.get())
            .and_then(|cents| Self::try_from(cents).ok())
    }

    /// The sum; none if it is above [`Cents::MAX`].
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0
            .checked_add(other.0)
            .and_then(|cents| Self::try_from(cents).ok())
    }
}

impl TryFrom<i64> for Cents {
    type Error = OutOfRange;

    fn try_from(cents: i64) -> Result<Self, OutOfRange> {
        in_range(cents, 0, Self::MAX.0).map(Self)
    }
}

impl From<Cents> for i64 {
    fn from(cents: Cents) -> Self {
        cents.0
    }
}

/// How many units of a product, from 1 to 1 000.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(try_from = "i64", into = "i64")]
#[schemars(extend("minimum" = 1, "maximum" = 1_000))]
pub struct Quantity(i64);

impl Quantity {
    /// A single unit.
    pub const ONE: Self = Self(1);
    /// The most units one line may ask for.
    pub const MAX: i64 = 1_000;

    /// The number of units.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Quantity {
    type Error = OutOfRange;

    fn try_from(units: i64) -> Result<Self, OutOfRange> {
        in_range(units, 1, Self::MAX).map(Self)
    }
}

impl From<Quantity> for i64 {
    fn from(quantity: Quantity) -> Self {
        quantity.0
    }
}

/// A number outside of what its type allows. The text names the bounds and what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be between {min} and {max}, got {got}")]
pub struct OutOfRange {
    min: i64,
    max: i64,
    got: i64,
}

/// `got` if it lies in `min..=max`.
///
/// # Errors
/// [`OutOfRange`] otherwise.
pub fn in_range(got: i64, min: i64, max: i64) -> Result<i64, OutOfRange> {
    if (min..=max).contains(&got) {
        Ok(got)
    } else {
        Err(OutOfRange { min, max, got })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_that_does_not_fit_is_none_and_never_wraps() {
        let price = Cents::MAX_PRICE;
        let thousand = Quantity::try_from(1_000).unwrap();
        let line = price.times(thousand).unwrap();
        assert_eq!(line.get(), 1_000_000_000_000_000);
        assert_eq!(Cents::MAX.plus(Cents(1)), None);
        assert_eq!(Cents::MAX.times(Quantity(2)), None);
        assert_eq!(Cents::MAX.plus(Cents::ZERO), Some(Cents::MAX));
    }

    #[test]
    fn bounds_are_inclusive_and_the_error_names_them() {
        assert!(Quantity::try_from(1).is_ok() && Quantity::try_from(1_000).is_ok());
        let error = Quantity::try_from(0).unwrap_err().to_string();
        assert_eq!(error, "must be between 1 and 1000, got 0");
        assert!(Cents::try_from(-1).is_err());
    }
}
