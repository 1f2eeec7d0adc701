//! The state machine of a shipment. Pure functions.

use crate::text_enum::text_enum;

text_enum! {
    /// The status of a shipment.
    pub enum ShipmentStatus {
        /// It is being packed.
        Pending = "pending",
        /// The carrier has it.
        Shipped = "shipped",
        /// It is on its way between two places of the carrier.
        InTransit = "in_transit",
        /// It is in the delivery vehicle.
        OutForDelivery = "out_for_delivery",
        /// It has arrived.
        Delivered = "delivered",
        /// The delivery failed. The carrier tries again, or keeps it to be fetched.
        FailedAttempt = "failed_attempt",
        /// It came back to the shop.
        Returned = "returned",
        /// The carrier has lost it.
        Lost = "lost",
        /// It was never sent.
        Cancelled = "cancelled",
    }
}

/// The shipment's status does not allow the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a shipment that is {from} cannot become {to}")]
pub struct ShipmentTransitionError {
    /// The present status.
    pub from: ShipmentStatus,
    /// The wanted status.
    pub to: ShipmentStatus,
}

impl ShipmentStatus {
    /// Whether the step is allowed. A parcel that has left may skip what its carrier does not report, may go back to
    /// the depot after a failed attempt, and may be lost or come back at any time. A lost parcel may turn up.
    pub fn allows(self, to: ShipmentStatus) -> bool {
        use ShipmentStatus::*;
        match self {
            Pending => matches!(to, Shipped | Cancelled),
            Shipped => {
                matches!(to, InTransit | OutForDelivery | Delivered | FailedAttempt | Returned | Lost)
            }
            InTransit => matches!(to, OutForDelivery | Delivered | FailedAttempt | Returned | Lost),
            OutForDelivery => matches!(to, InTransit | Delivered | FailedAttempt | Returned | Lost),
            FailedAttempt => matches!(to, InTransit | OutForDelivery | Delivered | Returned | Lost),
            Lost => matches!(to, InTransit | OutForDelivery | Delivered | Returned),
            Delivered | Returned | Cancelled => false,
        }
    }

    /// `Ok` if the step is allowed.
    pub fn check(self, to: ShipmentStatus) -> Result<(), ShipmentTransitionError> {
        if self.allows(to) { Ok(()) } else { Err(ShipmentTransitionError { from: self, to }) }
    }

    /// Whether it has left the shop, whatever became of it.
    pub fn has_left(self) -> bool {
        !matches!(self, Self::Pending | Self::Cancelled)
    }

    /// Whether the carrier has it and brings it to the shopper.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Shipped | Self::InTransit | Self::OutForDelivery | Self::FailedAttempt)
    }

    /// Whether it left and will not arrive, so that its units can be sent again.
    pub fn is_undeliverable(self) -> bool {
        matches!(self, Self::Returned | Self::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::ShipmentStatus::*;
    use super::*;

    #[test]
    fn the_steps_are_these_and_no_others() {
        let from = |from: ShipmentStatus| -> Vec<ShipmentStatus> {
            ShipmentStatus::ALL.iter().copied().filter(|to| from.allows(*to)).collect()
        };
        assert_eq!(from(Pending), [Shipped, Cancelled]);
        assert_eq!(from(Shipped), [InTransit, OutForDelivery, Delivered, FailedAttempt, Returned, Lost]);
        assert_eq!(from(InTransit), [OutForDelivery, Delivered, FailedAttempt, Returned, Lost]);
        assert_eq!(from(OutForDelivery), [InTransit, Delivered, FailedAttempt, Returned, Lost]);
        assert_eq!(from(FailedAttempt), [InTransit, OutForDelivery, Delivered, Returned, Lost]);
        assert_eq!(from(Lost), [InTransit, OutForDelivery, Delivered, Returned]);
        for end in [Delivered, Returned, Cancelled] {
            assert_eq!(from(end), []);
        }
    }

    #[test]
    fn a_parcel_is_in_the_shop_or_under_way_or_at_its_end() {
        for status in ShipmentStatus::ALL {
            let ends = status.is_undeliverable() || *status == Delivered;
            assert_eq!(status.has_left(), status.is_under_way() || ends, "{status}");
            assert!(!(status.is_under_way() && ends), "{status}");
        }
    }
}
