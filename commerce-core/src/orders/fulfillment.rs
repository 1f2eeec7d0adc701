//! How much of an order was shipped and has arrived: a pure function of its units.

use super::FulfillmentStatus;

/// The units of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FulfilledUnits {
    /// To be delivered: ordered and not cancelled.
    pub wanted: i64,
    /// Of these, those that have left the shop, whatever became of them.
    pub shipped: i64,
    /// Arrived.
    pub delivered: i64,
    /// Back in the shop: with a parcel that did not arrive and was not sent again, or with a return.
    pub came_back: i64,
}

/// Derives the fulfillment status. A lost unit keeps an order from being delivered until it is sent again.
pub fn derive_fulfillment_status(units: FulfilledUnits) -> FulfillmentStatus {
    let FulfilledUnits { wanted, shipped, delivered, came_back } = units;
    if shipped == 0 {
        FulfillmentStatus::Unfulfilled
    } else if shipped < wanted {
        FulfillmentStatus::Partial
    } else if came_back >= wanted {
        FulfillmentStatus::Returned
    } else if delivered >= wanted {
        FulfillmentStatus::Delivered
    } else {
        FulfillmentStatus::Fulfilled
    }
}

#[cfg(test)]
mod tests {
    use super::FulfillmentStatus::*;
    use super::*;

    #[test]
    fn the_status_follows_the_units() {
        for ((wanted, shipped, delivered, came_back), status) in [
            ((3, 0, 0, 0), Unfulfilled),
            ((0, 0, 0, 0), Unfulfilled),
            ((3, 1, 0, 0), Partial),
            ((3, 1, 1, 0), Partial),
            ((3, 1, 0, 1), Partial),
            ((3, 3, 2, 0), Fulfilled),
            ((3, 3, 2, 1), Fulfilled),
            ((3, 3, 3, 0), Delivered),
            ((3, 3, 0, 3), Returned),
            // The rest was cancelled.
            ((1, 1, 1, 0), Delivered),
        ] {
            let units = FulfilledUnits { wanted, shipped, delivered, came_back };
            assert_eq!(derive_fulfillment_status(units), status, "{units:?}");
        }
    }
}
