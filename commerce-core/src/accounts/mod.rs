//! Accounts of customers and staff: registration, login, roles.
//!
//! A person registers with an e-mail address, verifies it with a code of six digits, and can then log in. A
//! login is a session row. Its refresh tokens rotate, and a token that is reused ends the whole session. The
//! [`Role`] alone decides what a person may do. Use cases that also send mails are in
//! [`flows`](crate::flows).

mod addresses;
mod administration;
mod anonymise;
mod change_email;
mod create_confirmed;
mod known_networks;
mod list_users;
mod login;
mod normalise_addresses;
pub mod one_time_code;
mod password;
mod password_hasher;
mod password_reset;
mod permission;
mod phone;
mod refresh;
mod registration;
mod registration_row;
mod second_factor;
mod second_factor_check;
mod secret_key;
mod session;
mod session_list;
mod set_password;
mod totp;
mod update_profile;
mod user;

pub use addresses::{
    ADDRESSES_MAX, AddressBookError, AddressChange, SavedAddress, add_address, find_address, list_addresses,
    remove_address, update_address,
};
pub use administration::{
    AdministerUserError, UpdateUser, UserKey, find_user_by_key, has_acting_admin, is_acting_admin,
    lock_beside_admins, lock_for, update_user,
};
pub(crate) use anonymise::anonymise;
pub(crate) use change_email::{find_verified_by_email, lock_for_move, move_to_proven_address};
pub use create_confirmed::{CreatedAccount, create_confirmed, find_confirmed};
pub use known_networks::{KNOWN_FOR, knows_network, prune_networks, remember_network};
pub use list_users::{ListUsersError, UserFilter, UserSort, list_users};
pub use login::{
    LoginError, ProvenUser, StoredCredentials, find_credentials, find_own_credentials, open_cookie_session,
    open_session,
};
pub use normalise_addresses::{NormalisedAddresses, normalise_addresses};
pub use password::{InvalidPassword, NewPassword, PasswordHash};
pub use password_hasher::{HashError, PasswordHasher};
pub use password_reset::{RESET_LINK_TTL, ResetProof, derive_reset_token, prove_by_code, prove_by_token};
pub use permission::{Permission, Role};
pub(crate) use phone::compact as compact_phone;
pub use phone::{InvalidPhone, Phone};
pub use refresh::{REUSE_GRACE, Refreshed, refresh_session};
pub use registration::NewUser;
pub(crate) use registration::{Registration, RegistrationEvent, RegistrationMail};
pub(crate) use registration_row::{
    Compared, find_standing, lock_by_email, try_lock_by_email, write_transition,
};
pub use registration_row::{UNVERIFIED_ACCOUNTS_KEPT, prune_unverified};
pub use second_factor::{
    AppSecret, RECOVERY_CODES, SecondFactorError, awaits_first_code, begin_second_factor,
};
pub(crate) use second_factor::{confirm_second_factor, remove_second_factor, remove_second_factor_of};
pub use second_factor_check::is_app_code;
pub use secret_key::{InvalidSecretKey, SecretKey};
pub use session::{
    Device, LAST_USE_INTERVAL, LiveSession, OpenedSession, RefreshToken, SESSION_TTL, SessionCookie,
    SessionKey, find_live_session, logout, prune_sessions, revoke_cookie_session, revoke_session,
    revoke_sessions, touch_session,
};
pub use session_list::{ListSessionsError, Session, end_own_session, list_sessions};
pub(crate) use set_password::set_password;
pub use update_profile::{UpdateProfile, UpdateProfileError, check_display_name, update_profile};
pub use user::{User, find_user, lock_active_user};
