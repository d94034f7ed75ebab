//! Which check must find each planted bug, and in which scene the bug can be reached.

use super::scene::{
    CALM, HICCUPS, LOSSES, OUTAGE, REFUSALS, REPEATS, SLOW, SPOILED, Scene, UNCOMMITTED,
    UNPUBLISHED,
};
use contract::Bug;

/// How a planted bug is seen.
#[derive(Clone, Copy)]
pub enum Sight {
    /// This check finds it in this scene.
    By(&'static str, &'static Scene),
    /// No check can, for this reason.
    Unseen(&'static str),
}

/// The check that must find `bug`: the first in the order of the report that is meant for it.
#[rustfmt::skip]
pub const fn sight(bug: Bug) -> Sight {
    use Sight::By;
    match bug {
        Bug::FinishBeforeConsume | Bug::IgnoreFailedPayment => By("S1", &CALM),
        Bug::KeepTheStock | Bug::ReturnOneUnit => By("S2", &CALM),
        Bug::ReadThenWrite | Bug::Oversell => By("S3", &CALM),
        Bug::ApplyAgain => By("S4", &REPEATS),
        Bug::FailAtTheMinimum | Bug::DollarsForCents | Bug::OverflowTheAmount => By("S5", &CALM),
        Bug::OrderAgain => By("S6", &CALM),
        Bug::ProcessAfterFailing => By("S7", &SLOW),
        Bug::KeepTheVersion | Bug::CancelUnsaid => By("S8", &CALM),
        Bug::ChargeTwice | Bug::ChargeAnotherAmount => By("S9", &CALM),
        Bug::NewKeyOnRetry | Bug::TimeoutIsNo => By("S9", &LOSSES),
        Bug::ForgetTheQuantity | Bug::SayAnotherQuantity => By("S10", &CALM),
        Bug::ForgetKeys | Bug::KeyForAnyBody => By("S11", &CALM),
        Bug::ReplyBeforeCommit => By("S12", &UNCOMMITTED),
        Bug::ReadAStaleCopy => By("S13", &CALM),
        Bug::IdOfTheCause | Bug::CoarseClock => By("S14", &CALM),
        Bug::MarkBeforePublish => By("D1", &UNPUBLISHED),
        Bug::LeaveOneBehind => By("D1", &CALM),
        Bug::PublishBeforeCommit => By("D2", &UNCOMMITTED),
        Bug::PublishUnlogged | Bug::PublishAnotherPayload => By("D2", &CALM),
        Bug::AckBeforeCommit | Bug::AckWhatFailed => By("D3", &OUTAGE),
        Bug::InboxFirst => By("D4", &HICCUPS),
        Bug::RelayDies => By("D5", &CALM),
        Bug::CauseOfANeighbour => By("D6", &CALM),
        Bug::SweepWithoutCause => By("D6", &LOSSES),
        Bug::RequeueForEver | Bug::BlockTheQueue => By("D7", &SPOILED),
        Bug::ReturnUnsaid | Bug::CompensateTwice => By("D8", &CALM),
        Bug::NewRoot => By("T1", &CALM),
        Bug::ForgetTheContext => By("T2", &UNPUBLISHED),
        Bug::SilentCompensation => By("T2", &CALM),
        Bug::TracedBeforeCommit => By("T3", &UNCOMMITTED),
        Bug::ParentOfANeighbour => By("T4", &CALM),
        Bug::RenameAnAttribute => By("T6", &CALM),
        Bug::CountedBeforeCommit => By("M1", &UNCOMMITTED),
        Bug::RepeatsCountedAsApplied => By("M1", &REPEATS),
        Bug::MillisecondsForSeconds => By("M2", &REPEATS),
        Bug::ForgetTheActive => By("M3", &CALM),
        Bug::RefusalsUncounted => By("M4", &CALM),
        Bug::ExampleOfNowhere => By("M5", &CALM),
        Bug::OrderAsLabel => By("M6", &CALM),
        Bug::NeverAskAgain => By("L1", &LOSSES),
        Bug::SweeperOff => By("L1", &UNPUBLISHED),
        Bug::RetryWithoutBackoff => By("L1", &REFUSALS),
        Bug::ConsumerDies => By("L2", &CALM),
        Bug::NoReconnect => By("L2", &OUTAGE),
    }
}
