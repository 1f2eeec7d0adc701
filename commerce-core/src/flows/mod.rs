//! Use cases that touch several domains, one file each. Nothing else in this crate imports from here.
//!
//! Every flow takes the caller's connection and follows the [transaction
//! contract](crate#the-transaction-contract). Flows that need a provider are split in two, with the call
//! between them: [`begin_payment`], the call, [`settle_payment`]. [`register`] takes the pool, because it
//! hashes passwords while it holds no connection.

mod authorization;
mod begin_payment;
mod cancel_lines;
mod cancel_order;
mod capture_payment;
mod change_email;
mod check_payment;
mod complete_refund;
mod create_product;
mod create_shipment;
mod declare_withdrawal;
mod delete_account;
mod end_payment;
mod excess_payment;
mod expire_orders;
mod gone_units;
mod import_options;
mod import_products;
mod import_report;
mod import_stock;
mod job_error;
mod late_payment;
mod look_up_order;
mod manual_payment;
mod move_order;
mod move_return;
mod move_shipment;
mod note_order;
mod place_order;
mod process_webhook;
mod receive_contact;
mod refund_payment;
mod refund_return;
mod refund_sources;
mod register;
mod registration_mails;
mod request_return;
mod reset_password;
mod retry_refund;
mod running_import;
mod second_factor;
mod settle_payment;
mod settle_refund_by_hand;
mod settle_webhook;
mod ship_order;
mod ship_parcel;
mod staff_order;
mod staff_payment;
mod staff_refund;
mod staff_return;
mod supersede_attempts;
mod tell_low_stock;
mod verify_email;
mod watch_payment;

pub use crate::orders::CancelledBy;
pub use begin_payment::{BeginPayment, BeginPaymentError, begin_payment};
pub use cancel_lines::{CancelLines, CancelLinesError, CancelledLine, Canceller, cancel_lines};
pub use cancel_order::{CancelChoices, CancelOrderError, cancel_order};
pub use capture_payment::{CapturePaymentError, OfAuthorized, capture_order, capture_payment, void_payment};
pub use change_email::{confirm_email_change, request_email_change};
pub use check_payment::{CheckPaymentError, run_check};
pub use complete_refund::{CompleteRefundError, complete_refund};
pub use create_product::{
    CreateCombinations, CreateProduct, CreateProductError, CreateVariant, create_combinations,
    create_product, create_variant,
};
pub use create_shipment::{CreateShipment, CreateShipmentError, PackedLine, check_shipment, create_shipment};
pub use declare_withdrawal::{
    ConfirmWithdrawalError, DeclareWithdrawalError, ProcessWithdrawal, confirm_withdrawal,
    declare_withdrawal, run_withdrawal,
};
pub use delete_account::{DeleteAccountError, delete_account, delete_account_of};
pub use end_payment::run_end;
pub use expire_orders::{
    ExpireOrdersError, expire_attempted_orders, expire_orders, expire_unattempted_orders,
};
pub use import_options::{ImportMode, ImportOptions, OnError, StockPolicy};
pub use import_products::{ImportError, ImportProgress, import_products};
pub use import_report::ImportReport;
pub use import_stock::{
    STOCK_LINES_MAX, StockImportError, StockImportOptions, StockImportReport, import_stock,
};
pub use job_error::JobError;
pub use look_up_order::{LookUpOrder, look_up_order, run_lookup};
pub use manual_payment::{ManualPayment, ManualPaymentError, record_manual_payment};
pub use move_order::{MoveOrder, MoveOrderError, OrderStep, move_order};
pub use move_return::{MoveReturn, MoveReturnError, ReceivedLine, move_return};
pub use move_shipment::{
    AddCheckpoint, MoveShipment, MoveShipmentError, add_checkpoint, check_move, move_shipment,
};
pub use note_order::{NoteOrderError, note_order};
pub use place_order::{PlaceOrder, PlaceOrderError, PlacedOrder, place_order, place_order_and_answer};
pub use process_webhook::{
    ProcessWebhook, ProcessWebhookError, ReplayWebhookError, receive_webhook, replay_webhook, run_webhook,
};
pub use receive_contact::{ReceiveContactError, receive_contact};
pub use refund_payment::{RefundPayment, RefundPaymentError, run_refund};
pub use register::{Register, RegisterError, contest_registration, register, resend_code};
pub use request_return::{RequestReturn, RequestReturnError, request_return};
pub use reset_password::{change_password, request_password_reset, reset_password};
pub use retry_refund::{RetryRefundError, retry_refund};
pub use running_import::{RunningImport, running_import};
pub use second_factor::{confirm_second_factor, remove_second_factor, remove_second_factor_of};
pub use settle_payment::{SettlePaymentError, settle_payment};
pub use settle_refund_by_hand::{SettleRefundByHandError, settle_refund_by_hand};
pub use settle_webhook::{SettleWebhookError, settle_webhook};
pub use ship_order::{AdvanceOrderError, Dispatch, deliver_order, process_order, ship_order};
pub use ship_parcel::Sighting;
pub use staff_order::{STAFF_ORDER_WAITS_MAX, StaffOrder, StaffOrderError, place_staff_order};
pub use staff_payment::{StaffPayment, begin_staff_payment, settle_staff_payment};
pub use staff_refund::{
    RefundAmount, RefundOf, RefundedLine, StaffRefund, StaffRefundError, refund_by_staff,
};
pub use staff_return::{StaffReturn, StaffReturnError, open_staff_return};
pub use supersede_attempts::{SupersedeAttemptsError, supersede_attempts};
pub use tell_low_stock::tell_low_stock;
pub use verify_email::{VerifiedEmail, verify_email};
pub use watch_payment::{CheckPayment, EndPayment};
