//! Why a provider said nothing useful.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use super::ProviderName;

/// What lies behind an error from outside. Shared, so that one answer can be looked at in several places.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why a provider said nothing useful.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// It may have done what was asked, or not: ask again for the same attempt or refund.
    #[error("the payment provider {provider} cannot be reached: {cause}")]
    #[non_exhaustive]
    Unreachable {
        /// Who did not answer.
        provider: ProviderName,
        /// What came instead of an answer.
        #[source]
        cause: Cause,
    },
    /// It has not done what was asked, and never will.
    #[error("the payment provider {provider} refused the request: {cause}")]
    #[non_exhaustive]
    Refused {
        /// Who refused.
        provider: ProviderName,
        /// What it said.
        #[source]
        cause: Cause,
    },
}

impl ProviderError {
    /// No answer, or one that leaves open whether it was done.
    pub fn unreachable(provider: ProviderName, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreachable { provider, cause: Cause::from(cause.into()) }
    }

    /// A clear no.
    pub fn refused(provider: ProviderName, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Refused { provider, cause: Cause::from(cause.into()) }
    }
}

/// Waits for a provider's answer for `limit` at the most. Without one by then, the provider is unreachable.
pub async fn in_time<T>(
    provider: &ProviderName,
    limit: Duration,
    answer: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    let late = |elapsed| ProviderError::unreachable(provider.clone(), elapsed);
    tokio::time::timeout(limit, answer).await.map_err(late).flatten()
}
