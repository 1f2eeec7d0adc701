//! Who must have a second factor.

use clap::ValueEnum;

/// Which accounts must have a second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SecondFactorRule {
    /// None: whoever wants one sets it up.
    Optional,
    /// Those whose role may change anything.
    Staff,
}

/// How this server treats second factors.
#[derive(Debug, Clone)]
pub struct SecondFactors {
    pub rule: SecondFactorRule,
    /// What authenticator apps show beside the address of an account.
    pub issuer: String,
}
