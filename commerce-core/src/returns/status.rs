//! The state machine of a return, and why goods come back. Pure functions.

use crate::text_enum::text_enum;

text_enum! {
    /// The status of a return.
    pub enum ReturnStatus {
        /// The shopper wants to give goods back. Staff decide.
        Requested = "requested",
        /// The shopper may send them.
        Approved = "approved",
        /// They are back in the shop.
        Received = "received",
        /// Their money goes back.
        Refunded = "refunded",
        /// The shop does not take them back.
        Rejected = "rejected",
    }
}

text_enum! {
    /// Why goods come back.
    pub enum ReturnReason {
        /// The shopper has withdrawn from the contract, which needs no reason.
        Withdrawal = "withdrawal",
        /// The shopper does not want them any more.
        ChangedMind = "changed_mind",
        /// They do not fit.
        DoesNotFit = "does_not_fit",
        /// They arrived damaged.
        Damaged = "damaged",
        /// They do not work.
        Defective = "defective",
        /// They are not what was ordered.
        WrongItem = "wrong_item",
        /// They are not as the shop described them.
        NotAsDescribed = "not_as_described",
        /// Another reason. The note has it.
        Other = "other",
    }
}

/// The return's status does not allow the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a return that is {from} cannot become {to}")]
pub struct ReturnTransitionError {
    /// The present status.
    pub from: ReturnStatus,
    /// The wanted status.
    pub to: ReturnStatus,
}

impl ReturnStatus {
    /// Whether the step is allowed.
    pub fn allows(self, to: ReturnStatus) -> bool {
        use ReturnStatus::*;
        matches!(
            (self, to),
            (Requested, Approved | Rejected) | (Approved, Received) | (Received, Refunded | Rejected)
        )
    }

    /// `Ok` if the step is allowed.
    pub fn check(self, to: ReturnStatus) -> Result<(), ReturnTransitionError> {
        if self.allows(to) { Ok(()) } else { Err(ReturnTransitionError { from: self, to }) }
    }

    /// Whether its goods are still expected.
    pub fn awaits_goods(self) -> bool {
        matches!(self, Self::Requested | Self::Approved)
    }
}

#[cfg(test)]
mod tests {
    use super::ReturnStatus::*;
    use super::*;

    #[test]
    fn the_steps_are_these_and_no_others() {
        let from = |from: ReturnStatus| -> Vec<ReturnStatus> {
            ReturnStatus::ALL.iter().copied().filter(|to| from.allows(*to)).collect()
        };
        assert_eq!(from(Requested), [Approved, Rejected]);
        assert_eq!(from(Approved), [Received]);
        assert_eq!(from(Received), [Refunded, Rejected]);
        assert_eq!((from(Refunded), from(Rejected)), (vec![], vec![]));
    }
}
