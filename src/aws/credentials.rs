//! Credentials, fetched from their provider when they are needed and renewed before they expire.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use tokio::sync::RwLock;

/// Time before expiry at which credentials are renewed. The shortest session of STS lasts 15 minutes:
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>.
const RENEW_BEFORE: Duration = Duration::from_mins(5);

/// Time between attempts to renew credentials that are still valid.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(30);

/// Longest wait for a provider, such as a `credential_process` or an SSO portal.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(30);

/// Credentials from a provider, cached until shortly before they expire.
#[derive(Debug)]
pub(super) struct CachedCredentials {
    provider: Option<SharedCredentialsProvider>,
    cached: RwLock<Option<Cached>>,
}

#[derive(Debug, Clone)]
struct Cached {
    credentials: Credentials,
    /// When the provider is asked again.
    renew_at: Option<SystemTime>,
}

impl CachedCredentials {
    pub(super) fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self {
            provider,
            cached: RwLock::new(None),
        }
    }

    /// Credentials that are valid at `now`. One caller renews them; the others wait for it.
    ///
    /// # Errors
    /// The provider failed, and there are no credentials that are still valid.
    pub(super) async fn get(&self, now: SystemTime) -> Result<Credentials, CredentialsError> {
        if let Some(cached) = self
            .cached
            .read()
            .await
            .as_ref()
            .filter(|it| it.is_fresh(now))
        {
            return Ok(cached.credentials.clone());
        }

        let mut cached = self.cached.write().await;
        if let Some(renewed) = cached.as_ref().filter(|it| it.is_fresh(now)) {
            return Ok(renewed.credentials.clone());
        }

        let provided = match self.provide().await {
            Ok(credentials) => credentials,
            // A temporary failure of the provider does not matter while the old credentials are valid.
            Err(error) => match cached.as_ref() {
                Some(old) if old.is_valid(now) => old.credentials.clone(),
                _ => return Err(error),
            },
        };

        let renewed = Cached::new(provided, now);
        *cached = Some(renewed.clone());

        Ok(renewed.credentials)
    }

    /// The credentials that were used last.
    pub(super) async fn last(&self) -> Option<Credentials> {
        let cached = self.cached.read().await;

        cached.as_ref().map(|it| it.credentials.clone())
    }

    async fn provide(&self) -> Result<Credentials, CredentialsError> {
        let provider = self.provider.as_ref();
        let provider = provider.ok_or_else(CredentialsError::not_loaded_no_source)?;
        let provide = provider.provide_credentials();
        tokio::time::timeout(PROVIDER_TIMEOUT, provide)
            .await
            .map_err(|_| CredentialsError::provider_timed_out(PROVIDER_TIMEOUT))?
    }
}

impl Cached {
    fn new(credentials: Credentials, now: SystemTime) -> Self {
        let renew_at = credentials.expiry().map(|expiry| {
            let early = expiry.checked_sub(RENEW_BEFORE).unwrap_or(now);
            // The provider may return the same credentials until they expire.
            early.max(now + BETWEEN_ATTEMPTS)
        });

        Self {
            credentials,
            renew_at,
        }
    }

    fn is_fresh(&self, now: SystemTime) -> bool {
        self.is_valid(now) && self.renew_at.is_none_or(|at| now < at)
    }

    fn is_valid(&self, now: SystemTime) -> bool {
        self.credentials.expiry().is_none_or(|expiry| now < expiry)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use aws_credential_types::provider::future;

    use super::*;

    const LIFETIME: Duration = Duration::from_hours(1);

    /// A provider of numbered credentials that each live for an hour.
    #[derive(Debug, Clone, Default)]
    struct Sessions {
        provided: Arc<AtomicU32>,
        /// Number of the first session that cannot be had.
        fails_from: Option<u32>,
    }

    impl ProvideCredentials for Sessions {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let number = self.provided.fetch_add(1, Ordering::SeqCst) + 1;
            if self.fails_from.is_some_and(|first| number >= first) {
                return future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("no")));
            }

            let expiry = SystemTime::UNIX_EPOCH + LIFETIME * number;
            let credentials =
                Credentials::new(format!("{number}"), "s", None, Some(expiry), "test");
            future::ProvideCredentials::ready(Ok(credentials))
        }
    }

    fn cache_of(sessions: Sessions) -> CachedCredentials {
        CachedCredentials::new(Some(SharedCredentialsProvider::new(sessions)))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    async fn id(cache: &CachedCredentials, seconds: u64) -> Option<String> {
        let credentials = cache.get(at(seconds)).await.ok()?;
        Some(credentials.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn credentials_are_renewed_five_minutes_before_they_expire() {
        let cache = cache_of(Sessions::default());
        assert_eq!(id(&cache, 0).await.as_deref(), Some("1"));
        assert_eq!(id(&cache, 3299).await.as_deref(), Some("1"));
        assert_eq!(id(&cache, 3300).await.as_deref(), Some("2"));
        assert_eq!(id(&cache, 3301).await.as_deref(), Some("2"));
    }

    #[tokio::test]
    async fn valid_credentials_survive_a_provider_that_fails_and_expired_ones_do_not() {
        let sessions = Sessions {
            fails_from: Some(2),
            ..Sessions::default()
        };
        let cache = cache_of(sessions.clone());
        assert_eq!(id(&cache, 0).await.as_deref(), Some("1"));
        assert_eq!(id(&cache, 3400).await.as_deref(), Some("1"));
        assert_eq!(id(&cache, 3401).await.as_deref(), Some("1"));
        assert_eq!(
            sessions.provided.load(Ordering::SeqCst),
            2,
            "asked twice within a second"
        );
        assert_eq!(id(&cache, 3600).await, None);
    }

    #[tokio::test]
    async fn many_callers_ask_the_provider_once() {
        let sessions = Sessions::default();
        let cache = cache_of(sessions.clone());
        let callers: Vec<_> = (0..10).map(|_| cache.get(at(0))).collect();
        for caller in callers {
            caller.await.expect("credentials");
        }

        assert_eq!(sessions.provided.load(Ordering::SeqCst), 1);
    }
}
