//! Planted bugs: each is switched on to prove that a check of the harness sees it.
//!
//! Only names and words are here, so that every crate can speak of them. Whether a build has the bugs in it at
//! all is decided by the platform's feature `planted`. They stand in the order of the checks that must see them.

use serde::{Deserialize, Serialize};

/// Declares the bugs: a name in the code, one outside, what the bug does, and when that shows.
macro_rules! bugs {
    ($( $name:ident = $wire:literal, $sentence:literal, when $when:literal; )*) => {
        /// A bug that can be switched on. At most one is on at a time, in all services.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Bug {
            $(
                #[doc = $sentence]
                #[doc = ""]
                #[doc = concat!("Shows when ", $when, ".")]
                #[serde(rename = $wire)]
                $name,
            )*
        }

        impl Bug {
            /// All bugs, in the order of the checks.
            pub const ALL: &'static [Self] = &[$( Self::$name, )*];

            /// The name in plans and reports: `charge-twice`.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$name => $wire, )* }
            }

            /// What the bug does, in one sentence.
            pub const fn sentence(self) -> &'static str {
                match self { $( Self::$name => $sentence, )* }
            }

            /// What must happen so that the bug shows, without a full stop: `an order is placed`.
            pub const fn shows_when(self) -> &'static str {
                match self { $( Self::$name => $when, )* }
            }
        }
    };
}

bugs! {
    // S1 agreement
    FinishBeforeConsume = "finish-before-consume",
        "Orders finishes an order as soon as it is reserved, and heeds nothing that comes later.",
        when "a payment fails: under the minimum, or declined";
    IgnoreFailedPayment = "ignore-failed-payment",
        "Products does nothing when a payment failed: the reservation stays open and the order never settles.",
        when "a payment fails: under the minimum, or declined";
    // S2 stock conserved
    KeepTheStock = "keep-the-stock",
        "A canceled reservation gives nothing back to the stock.",
        when "a payment fails: under the minimum, or declined";
    ReturnOneUnit = "return-one-unit",
        "A canceled reservation gives one unit of each line back, however many it had.",
        when "a payment fails, under the minimum or declined, for a line of two units or more";
    // S3 never negative, never oversold
    ReadThenWrite = "read-then-write",
        "The stock is read, compared, and then written, and others do the same in between.",
        when "two orders of one product are delivered to products in one batch";
    Oversell = "oversell",
        "Nobody looks whether there is enough: the stock stops at zero and the order goes on.",
        when "an order asks for more than there is";
    // S4 effect once
    ApplyAgain = "apply-again",
        "A message that is delivered again is applied again: no inbox, and no guard on the state.",
        when "payment.processed, reservation.consumed, reservation.canceled or reservation.failed is delivered twice (payment.failed as well, if the product has other units out)";
    // S5 price rule
    FailAtTheMinimum = "fail-at-the-minimum",
        "A payment of exactly the minimum fails: <= for <.",
        when "an order amounts to 100 cents";
    DollarsForCents = "dollars-for-cents",
        "The minimum is compared with dollars: payments below 100 dollars fail.",
        when "an order amounts to 100 to 9 999 cents";
    OverflowTheAmount = "overflow-the-amount",
        "The price rule looks at an amount of 32 bits, which is negative for many large ones.",
        when "an order amounts to 2^31 to 2^32 + 99 cents, or to any amount whose lower 32 bits are negative or below 100, such as 10^12";
    // S6 nothing from nowhere
    OrderAgain = "order-again",
        "A retry with the same key is given the old answer and places a new order all the same.",
        when "a POST of an order is repeated with its key after the first was committed";
    // S7 legal transitions
    ProcessAfterFailing = "process-after-failing",
        "A payment that the provider does not answer in time fails, and is processed when the answer comes.",
        when "the provider answers later than the patience of payments (latency above one second, not a lost answer), and charges";
    // S8 fold
    KeepTheVersion = "keep-the-version",
        "A reservation changes the stock of a product and not its version.",
        when "an order is reserved";
    CancelUnsaid = "cancel-unsaid",
        "Orders cancels an order and says nothing.",
        when "an order is canceled";
    // S9 money
    ChargeTwice = "charge-twice",
        "The provider is asked a second time, under another key, when it has answered.",
        when "a payment is processed";
    ChargeAnotherAmount = "charge-another-amount",
        "The provider is asked for one cent more than the payment.",
        when "a payment is processed";
    NewKeyOnRetry = "new-key-on-retry",
        "The provider is asked again under a new key when it did not answer in time.",
        when "the provider loses a request or an answer";
    TimeoutIsNo = "timeout-is-no",
        "No answer in time counts as a declined payment.",
        when "the provider loses an answer, or gives it too late, after it has charged";
    // S10 amounts agree
    ForgetTheQuantity = "forget-the-quantity",
        "A payment is for one unit of each line.",
        when "an order has a line of two units or more at a price above zero";
    SayAnotherQuantity = "say-another-quantity",
        "order.created asks for one unit of each line, whatever the order has.",
        when "an order has a line of two units or more";
    // S11 idempotency key
    ForgetKeys = "forget-keys",
        "The key of an order is not looked up: a retry is a new order, with an answer of its own.",
        when "a POST of an order is repeated with its key after the first was committed";
    KeyForAnyBody = "key-for-any-body",
        "A key that was used is good for any other body and brings the old answer.",
        when "a POST is sent with a used key and another body";
    // S12 acknowledged is durable
    ReplyBeforeCommit = "reply-before-commit",
        "A request is answered when its statements ran, before they are committed.",
        when "orders crashes between the last statement of a POST and its commit (at `insert_many` or before `commit`, with a world that dawdles so that the answer is out)";
    // S13 session order
    ReadAStaleCopy = "read-a-stale-copy",
        "GET /orders/{id} without a wait reads a copy that is one second behind: a settled order is open again.",
        when "an order is read within a second after a client saw it settled";
    // S14 ids unique
    IdOfTheCause = "id-of-the-cause",
        "A message has the id of the message that it answers.",
        when "an order is placed";
    CoarseClock = "coarse-clock",
        "The id of an order is the millisecond in which it came; who comes second is told of the order of the first.",
        when "two orders are placed in one millisecond";
    // D1 state implies event
    MarkBeforePublish = "mark-before-publish",
        "Events are marked as published before they are.",
        when "a service crashes before `publish`, after the `commit` of the mark";
    LeaveOneBehind = "leave-one-behind",
        "The first of several messages is marked as published and never was.",
        when "a service publishes two events or more in one go: several orders on their way at a time";
    // D2 event implies state
    PublishBeforeCommit = "publish-before-commit",
        "Messages are on the exchange before the transaction that says them is committed.",
        when "orders crashes after `publish` or before `commit` of a POST: nobody says that message again";
    PublishUnlogged = "publish-unlogged",
        "What a request says is published and not logged.",
        when "an order is placed; a crash between `commit` and `publish` also loses the message";
    PublishAnotherPayload = "publish-another-payload",
        "What is published carries another version than what is logged.",
        when "anything is published right after its commit";
    // D3 none lost
    AckBeforeCommit = "ack-before-commit",
        "A batch is acked before it is applied.",
        when "a service crashes between `ack` and `commit`, or its database is gone while messages come";
    AckWhatFailed = "ack-what-failed",
        "A batch is acked although it could not be applied.",
        when "the database of a service is gone while messages come, or a message in the batch fails: payment.processed of an unknown order";
    // D4 duplicates absorbed
    InboxFirst = "inbox-first",
        "The inbox is committed before the reactions: what fails in between counts as applied.",
        when "a service crashes between the first and the second `commit` of a batch, or a message in the batch fails";
    // D5 drained
    RelayDies = "relay-dies",
        "The relay stops without a word after 16 messages.",
        when "a service says more than 16 events without a restart";
    // D6 causality
    CauseOfANeighbour = "cause-of-a-neighbour",
        "All that is said in one transaction names the cause of what is said first.",
        when "messages of two orders are delivered in one batch, or two payments end together";
    SweepWithoutCause = "sweep-without-cause",
        "The outcome of a payment that the sweep found names no cause.",
        when "the provider loses a request or an answer, or payments crashes before it asked";
    // D7 poison bounded
    RequeueForEver = "requeue-for-ever",
        "A message that fails is put off again and again and never given up.",
        when "a message fails for good: one whose data cannot be read, or payment.processed of an unknown order";
    BlockTheQueue = "block-the-queue",
        "A message that fails is tried again on the spot until it succeeds, and nothing behind it is applied.",
        when "a message that can be read fails for good: payment.processed of an unknown order";
    // D8 compensation exactly when due
    ReturnUnsaid = "return-unsaid",
        "The stock of a failed payment is given back and nothing is said of it: the order never settles.",
        when "a payment fails: under the minimum, or declined";
    CompensateTwice = "compensate-twice",
        "reservation.canceled is said twice.",
        when "a payment fails: under the minimum, or declined";
    // T1 one trace
    NewRoot = "new-root",
        "A service that hears a message begins a new trace.",
        when "an order is placed";
    // T2 no gap
    ForgetTheContext = "forget-the-context",
        "The event log does not keep the trace context: what the sweeper publishes belongs to no trace.",
        when "a service crashes between `commit` and `publish`";
    SilentCompensation = "silent-compensation",
        "Nothing is traced of a message that undoes something.",
        when "a payment fails: under the minimum, or declined";
    // T3 applied once
    TracedBeforeCommit = "traced-before-commit",
        "A message is traced as applied before it is committed.",
        when "a commit fails, or a service crashes before it";
    // T4 parents are causes
    ParentOfANeighbour = "parent-of-a-neighbour",
        "All messages of a batch hang on the step that said the first.",
        when "messages of two orders are delivered in one batch";
    // T6 names
    RenameAnAttribute = "rename-an-attribute",
        "The call of the provider tells of its payment under another name than the registry has.",
        when "a payment is charged";
    // M1 counters
    CountedBeforeCommit = "counted-before-commit",
        "Events are counted as said before they are committed.",
        when "a commit fails, or is tried again";
    RepeatsCountedAsApplied = "repeats-counted-as-applied",
        "A message that was applied before is counted as applied once more.",
        when "a message is delivered twice";
    // M2 histograms
    MillisecondsForSeconds = "milliseconds-for-seconds",
        "The lag of messages is measured in milliseconds and shown as seconds.",
        when "an order is placed";
    // M3 gauges at rest
    ForgetTheActive = "forget-the-active",
        "A request that is refused stays in the number of active requests.",
        when "a request is refused: its body is none, or its key was used for another";
    // M4 requests
    RefusalsUncounted = "refusals-uncounted",
        "Requests that are refused are not counted.",
        when "the POST of an order is refused: its body is none, or its key was used for another";
    // M5 examples
    ExampleOfNowhere = "example-of-nowhere",
        "The examples of how long messages took name traces that do not exist.",
        when "an order is placed";
    // M6 series
    OrderAsLabel = "order-as-label",
        "Settled sagas are counted with their order as a label.",
        when "an order settles";
    // L1 to L7 liveness
    ConsumerDies = "consumer-dies",
        "The consumer stops without a word after 16 batches.",
        when "a service hears more than 16 batches without a restart: orders one after another";
    NoReconnect = "no-reconnect",
        "The consumer ends with its first error and does not subscribe again.",
        when "the database or the broker of a service is gone while messages come";
    NeverAskAgain = "never-ask-again",
        "A call to the outside that was not answered in time is not made again before a restart.",
        when "the provider loses a request or an answer";
    SweeperOff = "sweeper-off",
        "Nobody looks for events that the relay missed.",
        when "a service crashes between `commit` and `publish`";
    RetryWithoutBackoff = "retry-without-backoff",
        "A message that failed is put off for a millisecond each time: all its chances are gone at once.",
        when "a message that can be read fails for good, payment.processed of an unknown order: it is in the dead queue (`deadAtUs`) within 0.1 s, not after 1.75 s or more";
}

impl Bug {
    /// The bug with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|bug| bug.as_str() == text)
    }
}

impl std::fmt::Display for Bug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_bug_has_a_name_of_its_own_that_parses_and_is_its_wire_form() {
        let names: BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.as_str()).collect();
        assert_eq!(names.len(), Bug::ALL.len());
        for bug in Bug::ALL {
            let name = bug.as_str();
            assert_eq!(Bug::parse(name), Some(*bug));
            assert_eq!(serde_json::to_value(bug).unwrap(), name);
            let is_kebab = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(name.chars().all(is_kebab), "{name}");
        }
        assert_eq!(Bug::parse("no-such-bug"), None);
    }

    #[test]
    fn every_bug_says_what_it_does_and_when_it_shows() {
        for bug in Bug::ALL {
            assert!(bug.sentence().ends_with('.'), "{bug}");
            assert!(!bug.shows_when().is_empty(), "{bug}");
            assert!(!bug.shows_when().ends_with('.'), "{bug}");
        }
    }
}
