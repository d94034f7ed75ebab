//! A payment is created, then processed or failed; and the rule that small ones fail.

use contract::http::{ChargeOutcome, PaymentStatus};
use contract::{Cents, MINIMUM_CENTS, Reason};
use platform::Illegal;

/// How a payment ends: processed, or failed for a reason.
pub type Ending = Result<(), Reason>;

/// Whether the provider is asked at all.
///
/// # Errors
/// [`Reason::UnderMinimum`] below [`MINIMUM_CENTS`].
pub fn admit(amount: Cents) -> Ending {
    if amount.get() < MINIMUM_CENTS {
        Err(Reason::UnderMinimum)
    } else {
        Ok(())
    }
}

/// How the payment ends when the provider answers this.
///
/// # Errors
/// [`Reason::Declined`].
pub const fn ending(answer: ChargeOutcome) -> Ending {
    match answer {
        ChargeOutcome::Charged => Ok(()),
        ChargeOutcome::Declined => Err(Reason::Declined),
    }
}

/// Where a payment stands after `ending`; `state` is none while there is no such payment.
///
/// # Errors
/// [`Illegal`] when the saga has no such step.
pub fn next(state: Option<PaymentStatus>, ending: Ending) -> Result<PaymentStatus, Illegal> {
    match (state, ending) {
        (Some(PaymentStatus::Created), Ok(())) => Ok(PaymentStatus::Processed),
        (Some(PaymentStatus::Created), Err(_)) => Ok(PaymentStatus::Failed),
        (state, ending) => Err(Illegal {
            entity: "a payment",
            state: state.map_or("not there", PaymentStatus::as_str),
            event: if ending.is_ok() {
                "payment.processed"
            } else {
                "payment.failed"
            },
        }),
    }
}
