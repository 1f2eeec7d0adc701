//! The small model of goods and money that journeys are compared with.

use commerce_core::returns::ReturnStatus;
use commerce_core::shipments::ShipmentStatus;

/// What may happen next. Lines and parcels are named by their places.
#[derive(Debug, Clone, Copy)]
pub enum Step {
    Pack {
        line: usize,
        quantity: i64,
        shipped: bool,
    },
    SendAgain {
        parcel: usize,
        quantity: i64,
        shipped: bool,
    },
    Move {
        parcel: usize,
        to: ShipmentStatus,
        restock: bool,
    },
    Cancel {
        line: usize,
        quantity: i64,
        refund: bool,
        restock: bool,
    },
    RefundUnits {
        line: usize,
        quantity: i64,
        restock: bool,
    },
    RefundAmount {
        minor: i64,
    },
    Return {
        line: usize,
        quantity: i64,
    },
    /// Returns are named by their places, too.
    MoveReturn {
        place: usize,
        to: ReturnStatus,
        quantity: i64,
        restock: bool,
        /// What staff refund, if they say so.
        minor: Option<i64>,
    },
}

/// A parcel has units of one line, which keeps the model small.
#[derive(Debug, Clone)]
pub struct ParcelModel {
    pub line: usize,
    pub quantity: i64,
    pub status: ShipmentStatus,
    pub replaces: Option<usize>,
}

/// A return has units of one line.
#[derive(Debug, Clone)]
pub struct ReturnModel {
    pub line: usize,
    pub quantity: i64,
    pub came: i64,
    pub status: ReturnStatus,
}

#[derive(Debug, Clone)]
pub struct LineModel {
    pub price: i64,
    pub quantity: i64,
    pub cancelled: i64,
    pub shipped: i64,
    pub refunded: i64,
    pub restocked: i64,
    /// Came back with returns.
    pub returned: i64,
    /// Left the stock and not back in it.
    pub out: i64,
    /// Of the variant, in the whole shop.
    pub on_hand: i64,
    pub reserved: i64,
}

#[derive(Debug, Clone)]
pub struct Model {
    pub lines: Vec<LineModel>,
    pub parcels: Vec<ParcelModel>,
    pub returns: Vec<ReturnModel>,
    pub paid: i64,
    pub promised: i64,
    pub is_cancelled: bool,
}

impl Model {
    fn packed(&self, line: usize) -> i64 {
        let pending = |parcel: &&ParcelModel| {
            parcel.line == line && parcel.status == ShipmentStatus::Pending && parcel.replaces.is_none()
        };
        self.parcels.iter().filter(pending).map(|parcel| parcel.quantity).sum()
    }

    /// Units in no parcel.
    fn free(&self, line: usize) -> i64 {
        let of = &self.lines[line];
        of.quantity - of.cancelled - of.shipped - self.packed(line)
    }

    fn replaced(&self, parcel: usize) -> i64 {
        let again = |other: &&ParcelModel| {
            other.replaces == Some(parcel) && other.status != ShipmentStatus::Cancelled
        };
        self.parcels.iter().filter(again).map(|other| other.quantity).sum()
    }

    /// Units that arrived or are on their way.
    fn with_shopper(&self, line: usize) -> i64 {
        let there = |parcel: &&ParcelModel| {
            let arrives = parcel.status.is_under_way() || parcel.status == ShipmentStatus::Delivered;
            parcel.line == line && arrives
        };
        self.parcels.iter().filter(there).map(|parcel| parcel.quantity).sum()
    }

    fn arrived(&self, line: usize) -> i64 {
        let there = |parcel: &&ParcelModel| parcel.line == line && parcel.status == ShipmentStatus::Delivered;
        let arrived: i64 = self.parcels.iter().filter(there).map(|parcel| parcel.quantity).sum();
        (arrived - self.lines[line].restocked - self.lines[line].returned).max(0)
    }

    fn awaited(&self, line: usize) -> i64 {
        let awaited = |back: &&ReturnModel| back.line == line && back.status.awaits_goods();
        self.returns.iter().filter(awaited).map(|back| back.quantity).sum()
    }

    fn moves_return(
        &mut self,
        place: usize,
        to: ReturnStatus,
        quantity: i64,
        restock: bool,
        minor: Option<i64>,
    ) -> bool {
        let ReturnModel { line, quantity: announced, came, status } = self.returns[place];
        if status == to {
            return true;
        }
        if !status.allows(to) {
            return false;
        }
        match to {
            ReturnStatus::Received => {
                if !(0..=announced.min(self.arrived(line))).contains(&quantity) {
                    return false;
                }
                self.returns[place].came = quantity;
                let of = &mut self.lines[line];
                of.returned += quantity;
                of.out -= quantity;
                of.on_hand += if restock { quantity } else { 0 };
            }
            ReturnStatus::Refunded => {
                let of = &mut self.lines[line];
                let units = came.min(of.quantity - of.refunded - of.cancelled).max(0);
                let worth = (units * of.price).min(self.paid - self.promised);
                if minor.is_some_and(|minor| !(1..=worth).contains(&minor)) {
                    return false;
                }
                let amount = minor.unwrap_or(worth);
                self.promised += amount;
                of.refunded += if amount > 0 { units } else { 0 };
            }
            _ => {}
        }
        self.returns[place].status = to;
        true
    }

    fn lost(&self, line: usize) -> i64 {
        let lost = |parcel: &&ParcelModel| parcel.line == line && parcel.status == ShipmentStatus::Lost;
        self.parcels.iter().filter(lost).map(|parcel| parcel.quantity).sum()
    }

    fn wanted(&self) -> i64 {
        self.lines.iter().map(|line| line.quantity - line.cancelled).sum()
    }

    fn shipped(&self) -> i64 {
        self.lines.iter().map(|line| line.shipped).sum()
    }

    /// Whether everything has left, so that nothing more can be packed or cancelled.
    fn has_all_left(&self) -> bool {
        self.shipped() > 0 && self.shipped() >= self.wanted()
    }

    fn leave(&mut self, parcel: usize) {
        let ParcelModel { line, quantity, replaces, .. } = self.parcels[parcel];
        self.parcels[parcel].status = ShipmentStatus::Shipped;
        let line = &mut self.lines[line];
        line.on_hand -= quantity;
        line.out += quantity;
        line.reserved -= quantity;
        if replaces.is_none() {
            line.shipped += quantity;
        }
    }

    fn pack(&mut self, line: usize, quantity: i64, replaces: Option<usize>, shipped: bool) {
        self.parcels.push(ParcelModel { line, quantity, status: ShipmentStatus::Pending, replaces });
        if shipped {
            self.leave(self.parcels.len() - 1);
        }
    }

    /// Whether the step is allowed. If it is, it is taken.
    pub fn takes(&mut self, step: Step) -> bool {
        match step {
            Step::Pack { line, quantity, shipped } => {
                let allowed =
                    !self.is_cancelled && !self.has_all_left() && (1..=self.free(line)).contains(&quantity);
                if allowed {
                    self.pack(line, quantity, None, shipped);
                }
                allowed
            }
            Step::SendAgain { parcel, quantity, shipped } => {
                let of = self.parcels[parcel].clone();
                let available = self.lines[of.line].on_hand - self.lines[of.line].reserved;
                let left = of.quantity - self.replaced(parcel);
                let allowed = !self.is_cancelled
                    && of.status.is_undeliverable()
                    && (1..=left.min(available)).contains(&quantity);
                if allowed {
                    self.lines[of.line].reserved += quantity;
                    self.pack(of.line, quantity, Some(parcel), shipped);
                }
                allowed
            }
            Step::Move { parcel, to, restock } => self.moves(parcel, to, restock),
            Step::Cancel { line, quantity, refund, restock } => self.cancels(line, quantity, refund, restock),
            Step::RefundUnits { line, quantity, restock } => {
                let of = &self.lines[line];
                let left = of.quantity - of.refunded - of.cancelled;
                let back = self.with_shopper(line) - of.restocked - of.returned;
                let amount = quantity.saturating_mul(of.price);
                let allowed = (1..=left).contains(&quantity)
                    && amount <= self.paid - self.promised
                    && (!restock || quantity <= back);
                if allowed {
                    self.promised += amount;
                    let of = &mut self.lines[line];
                    of.refunded += quantity;
                    if restock {
                        of.restocked += quantity;
                        of.out -= quantity;
                        of.on_hand += quantity;
                    }
                }
                allowed
            }
            Step::RefundAmount { minor } => {
                let allowed = (1..=self.paid - self.promised).contains(&minor);
                self.promised += if allowed { minor } else { 0 };
                allowed
            }
            Step::Return { line, quantity } => {
                let allowed = (1..=self.arrived(line) - self.awaited(line)).contains(&quantity);
                if allowed {
                    let status = ReturnStatus::Requested;
                    self.returns.push(ReturnModel { line, quantity, came: 0, status });
                }
                allowed
            }
            Step::MoveReturn { place, to, quantity, restock, minor } => {
                self.moves_return(place, to, quantity, restock, minor)
            }
        }
    }

    fn moves(&mut self, parcel: usize, to: ShipmentStatus, restock: bool) -> bool {
        let ParcelModel { line, quantity, status, replaces } = self.parcels[parcel];
        if status == to {
            return true;
        }
        if !status.allows(to) || (status.is_undeliverable() && self.replaced(parcel) > 0) {
            return false;
        }
        self.parcels[parcel].status = to;
        match to {
            ShipmentStatus::Shipped => self.leave(parcel),
            ShipmentStatus::Cancelled if replaces.is_some() => self.lines[line].reserved -= quantity,
            ShipmentStatus::Returned => {
                let lost = self.lost(line);
                let of = &mut self.lines[line];
                let back = quantity.min(of.out - lost).max(0);
                of.out -= back;
                of.on_hand += if restock { back } else { 0 };
            }
            _ => {}
        }
        true
    }

    fn cancels(&mut self, line: usize, quantity: i64, refund: bool, restock: bool) -> bool {
        if self.is_cancelled || self.has_all_left() || quantity < 1 {
            return false;
        }
        let is_everything = self.shipped() == 0 && quantity == self.wanted();
        if is_everything && self.lines[line].quantity - self.lines[line].cancelled == quantity {
            self.is_cancelled = true;
            if refund {
                self.promised = self.paid;
            }
            for parcel in &mut self.parcels {
                parcel.status = ShipmentStatus::Cancelled;
            }
            self.lines[line].reserved -= quantity;
            self.lines[line].on_hand -= if restock { 0 } else { quantity };
            return true;
        }
        if quantity > self.free(line) {
            return false;
        }
        let of = &mut self.lines[line];
        let both = |of: &LineModel| (of.refunded + of.cancelled - of.quantity).max(0);
        let before = both(of);
        of.cancelled += quantity;
        let fresh = quantity - (both(of) - before);
        of.reserved -= quantity;
        of.on_hand -= if restock { 0 } else { quantity };
        if refund {
            self.promised += (fresh * of.price).min(self.paid - self.promised);
        }
        true
    }
}
