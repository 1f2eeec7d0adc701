//! Errors of providers.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::ProviderName;

/// The cause of an error. It is shared, so that one answer can be used in several places.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why there is no answer from a provider.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// The provider may or may not have done what was asked. Ask again for the same attempt or refund.
    #[error("the payment provider {provider} cannot be reached: {cause}")]
    #[non_exhaustive]
    Unreachable {
        /// The provider.
        provider: ProviderName,
        /// The error that occurred.
        #[source]
        cause: Cause,
    },
    /// The provider has not done what was asked, and will not do it.
    #[error("the payment provider {provider} refused the request: {cause}")]
    #[non_exhaustive]
    Refused {
        /// The provider.
        provider: ProviderName,
        /// The provider's reason.
        #[source]
        cause: Cause,
    },
    /// What the shopper's client has sent is wrong. Nothing was done, and the attempt stays as it was.
    #[error("the details for the payment provider {provider} are wrong: {cause}")]
    #[non_exhaustive]
    InvalidDetails {
        /// The provider.
        provider: ProviderName,
        /// What is wrong.
        #[source]
        cause: Cause,
    },
}

impl ProviderError {
    /// There is no answer, or the answer leaves open what was done.
    pub fn unreachable(provider: ProviderName, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreachable { provider, cause: Cause::from(cause.into()) }
    }

    /// Whether it is left open what the provider did.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// The provider refused clearly.
    pub fn refused(provider: ProviderName, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused { provider, cause: Cause::from(cause.into()) }
    }

    /// The provider knows nothing of an attempt that somebody confirms.
    pub(super) fn unknown_attempt(provider: ProviderName) -> Self {
        Self::unreachable(provider, "it does not know this attempt: the request to pay must be repeated")
    }

    /// The details of a confirmation are wrong.
    pub fn invalid_details(provider: ProviderName, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::InvalidDetails { provider, cause: Cause::from(cause.into()) }
    }
}

/// Waits for a provider's answer for at most `limit`. Without an answer by then the provider is unreachable.
pub async fn in_time<T>(
    provider: &ProviderName,
    limit: Duration,
    answer: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let late = |elapsed| ProviderError::unreachable(provider.clone(), elapsed);
    tokio::time::timeout(limit, answer).await.map_err(late).flatten()
}
