//! Returns: goods that shoppers give back, and the declarations of withdrawal that open returns. Every change of a return
//! holds the order's lock.

mod find;
mod row;
mod status;
mod withdrawal;

pub use find::{ListReturnsError, ReturnFilter, find_return, list_returns};
pub use row::{LockedReturn, Return, ReturnLine, WantedBack, return_lines};
pub(crate) use row::{NewReturn, awaited_units, insert_return, lock_return, write_received, write_return};
pub use status::{ReturnReason, ReturnStatus, ReturnTransitionError};
pub use withdrawal::{
    CONFIRM_WITHIN, NamedUnits, NewWithdrawal, Withdrawal, WithdrawalFilter, find_withdrawal,
    list_withdrawals, prune_withdrawals,
};
pub(crate) use withdrawal::{confirm_withdrawal, insert_withdrawal, match_withdrawal};
