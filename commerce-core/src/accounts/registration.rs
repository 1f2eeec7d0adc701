//! The states of an address that is registered. One function, [`Registration::on`], decides every case, and
//! so which password and which name an account gets.
//!
//! A person who enters the mailed code reads the mailbox. That does not prove that the password is theirs,
//! because a stranger may have registered the address before or after them. So an address that was registered
//! with two passwords is contested. It keeps neither of them when it is verified.
//!
//! ```text
//!            registered            refused, or registered
//!                                  with another password
//!    New ───────────────► Pending ───────────────────────────► Contested
//!                            │                                     │
//!                            │ proven: keeps password and name     │ proven: keeps neither
//!                            └──────────────► Taken ◄──────────────┘
//! ```

use super::password::PasswordHash;
use crate::email_address::EmailAddress;
use crate::locale::Locale;

/// An account to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUser {
    /// The address, which no other account may have.
    pub email: EmailAddress,
    /// The password, hashed.
    pub password: PasswordHash,
    /// The name that other people read, of 1 to 200 characters.
    pub display_name: String,
    /// The language of mails to the owner. `None` means the shop's.
    pub locale: Option<Locale>,
}

/// The state of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registration {
    /// The address has no account.
    New,
    /// The address was registered. Its code was not entered yet.
    Pending,
    /// Like `Pending`, but registered with two passwords. The code does not tell which of them is the
    /// owner's.
    Contested,
    /// The address has a verified account.
    Taken,
}

/// An event that may change the state of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistrationEvent<'a> {
    /// A person registers the address.
    Registered {
        /// The password and the name of this registration.
        user: &'a NewUser,
        /// Whether the password differs from that of the registration before. The same password is a double
        /// click.
        other_password: bool,
        /// Whether the last registration whose password was stored is less than a minute old.
        within_minute: bool,
    },
    /// A registration was refused before it was looked at, such as by a rate limit. A stranger may have used
    /// up the limit.
    TurnedAway,
    /// The mailed code was entered.
    Proven,
    /// A new password is set with a mailed link or code.
    Reset,
}

/// The password and the name that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep<'a> {
    /// The stored ones. Nothing of this event is stored.
    Former,
    /// Those of this registration. They replace the stored ones, because nobody has verified the address yet.
    Given(&'a NewUser),
    /// The stored ones, and beside them the password of this registration. That password opens nothing. A
    /// login with it is told that the address is not verified, as if the address had been free.
    Refused(&'a PasswordHash),
    /// Neither, because a stranger may have chosen both.
    Neither,
}

/// A mail to the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegistrationMail {
    /// The code that verifies the address, unless it is too soon for another.
    Code,
    /// The address has an account already. Once an hour.
    AccountExists,
    /// The account can be used.
    Welcome,
    /// A link and a code to set a password, because the account has none.
    SetPassword,
}

/// The effect of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transition<'a> {
    pub from: Registration,
    pub to: Registration,
    pub keep: Keep<'a>,
    pub mails: &'static [RegistrationMail],
}

impl Registration {
    /// The effect of the event on an address in this state.
    ///
    /// The password of a registration is stored once a minute, whether or not there is an account. So a login
    /// with it does not tell which.
    pub(crate) fn on(self, event: RegistrationEvent<'_>) -> Transition<'_> {
        use Registration::{Contested, New, Pending, Taken};
        use RegistrationMail::{AccountExists, Code, SetPassword, Welcome};

        let (to, keep, mails): (_, _, &[RegistrationMail]) = match (self, event) {
            (New, RegistrationEvent::Registered { user, .. }) => (Pending, Keep::Given(user), &[Code]),
            (Pending | Contested, RegistrationEvent::Registered { user, other_password, within_minute }) => {
                let to = if other_password { Contested } else { self };
                if within_minute { (to, Keep::Former, &[]) } else { (to, Keep::Given(user), &[Code]) }
            }
            (Taken, RegistrationEvent::Registered { user, within_minute, .. }) => {
                let keep = if within_minute { Keep::Former } else { Keep::Refused(&user.password) };
                (Taken, keep, &[AccountExists])
            }
            (Pending, RegistrationEvent::TurnedAway) => (Contested, Keep::Former, &[]),
            (Pending, RegistrationEvent::Proven) => (Taken, Keep::Former, &[Welcome]),
            (Contested, RegistrationEvent::Proven) => (Taken, Keep::Neither, &[Welcome, SetPassword]),
            // The person who registered the address may not be the one who reads its mail.
            (Pending | Contested, RegistrationEvent::Reset) => (Taken, Keep::Neither, &[Welcome]),
            (New | Contested | Taken, RegistrationEvent::TurnedAway)
            | (New | Taken, RegistrationEvent::Proven | RegistrationEvent::Reset) => {
                (self, Keep::Former, &[])
            }
        };
        Transition { from: self, to, keep, mails }
    }
}

#[cfg(test)]
mod tests {
    use super::Registration::{Contested, New, Pending, Taken};
    use super::RegistrationMail::{AccountExists, Code, SetPassword, Welcome};
    use super::*;

    /// Every state with every event.
    #[test]
    fn every_event_leads_where_the_table_says() {
        let user = NewUser {
            email: "ada@example.com".parse().unwrap(),
            password: PasswordHash::of_nobody(),
            display_name: "Ada".to_owned(),
            locale: None,
        };
        let registered = |other_password, within_minute| RegistrationEvent::Registered {
            user: &user,
            other_password,
            within_minute,
        };
        let same = registered(false, false);
        let same_at_once = registered(false, true);
        let other = registered(true, false);
        let other_at_once = registered(true, true);
        let (given, refused) = (Keep::Given(&user), Keep::Refused(&user.password));
        let table: [(Registration, RegistrationEvent, Registration, Keep, &[RegistrationMail]); 28] = [
            (New, same, Pending, given, &[Code]),
            (New, same_at_once, Pending, given, &[Code]),
            (New, other, Pending, given, &[Code]),
            (New, other_at_once, Pending, given, &[Code]),
            (New, RegistrationEvent::TurnedAway, New, Keep::Former, &[]),
            (New, RegistrationEvent::Proven, New, Keep::Former, &[]),
            (New, RegistrationEvent::Reset, New, Keep::Former, &[]),
            (Pending, same, Pending, given, &[Code]),
            (Pending, same_at_once, Pending, Keep::Former, &[]),
            (Pending, other, Contested, given, &[Code]),
            (Pending, other_at_once, Contested, Keep::Former, &[]),
            (Pending, RegistrationEvent::TurnedAway, Contested, Keep::Former, &[]),
            (Pending, RegistrationEvent::Proven, Taken, Keep::Former, &[Welcome]),
            (Pending, RegistrationEvent::Reset, Taken, Keep::Neither, &[Welcome]),
            (Contested, same, Contested, given, &[Code]),
            (Contested, same_at_once, Contested, Keep::Former, &[]),
            (Contested, other, Contested, given, &[Code]),
            (Contested, other_at_once, Contested, Keep::Former, &[]),
            (Contested, RegistrationEvent::TurnedAway, Contested, Keep::Former, &[]),
            (Contested, RegistrationEvent::Proven, Taken, Keep::Neither, &[Welcome, SetPassword]),
            (Contested, RegistrationEvent::Reset, Taken, Keep::Neither, &[Welcome]),
            (Taken, same, Taken, refused, &[AccountExists]),
            (Taken, same_at_once, Taken, Keep::Former, &[AccountExists]),
            (Taken, other, Taken, refused, &[AccountExists]),
            (Taken, other_at_once, Taken, Keep::Former, &[AccountExists]),
            (Taken, RegistrationEvent::TurnedAway, Taken, Keep::Former, &[]),
            (Taken, RegistrationEvent::Proven, Taken, Keep::Former, &[]),
            (Taken, RegistrationEvent::Reset, Taken, Keep::Former, &[]),
        ];
        for (from, event, to, keep, mails) in table {
            assert_eq!(from.on(event), Transition { from, to, keep, mails }, "{from:?}, {event:?}");
        }
        let cases: std::collections::HashSet<String> =
            table.iter().map(|(from, event, ..)| format!("{from:?} {event:?}")).collect();
        assert_eq!(cases.len(), table.len(), "a case is there twice");
    }
}
