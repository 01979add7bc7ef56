//! Checks of the credentials: whether there are any, when they expire, and whose they are.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::report::{CheckGroup, Checks, GroupChecks, finding};
use crate::environment::Environment;
use crate::error::Error;
use crate::store::diagnosis::{Identity, RequestPath};

/// Remaining time that is worth a warning.
const SHORT_TIME: TimeDelta = TimeDelta::minutes(15);

/// Checks the credentials. Returns whether calls can be signed.
pub(super) async fn check(
    checks: &mut Checks,
    environment: &Environment,
    path: &RequestPath,
) -> bool {
    let mut group = checks.group(CheckGroup::Credentials);
    group.ok("Source", path.credentials());
    match path.credentials_expiry().await {
        Ok(expiry) => check_expiry(&mut group, expiry.map(DateTime::from), Utc::now()),
        Err(error) => {
            group.problem("Keys", &error);
            group.skipped("Identity", "there are no credentials");
            return false;
        }
    }

    check_identity(&mut group, environment, path).await
}

fn check_expiry(group: &mut GroupChecks<'_>, expiry: Option<DateTime<Utc>>, now: DateTime<Utc>) {
    const NAME: &str = "Keys";

    let Some(expiry) = expiry else {
        return group.ok(NAME, "available; no expiry is known");
    };

    let time = expiry.to_rfc3339_opts(SecondsFormat::Secs, true);
    let minutes = (expiry - now).num_minutes();
    if expiry <= now {
        let error = Error::environment(format!("expired at {time}"));
        group.problem(NAME, &error.with_hint("log in again, or replace the keys"));
    } else if expiry - now < SHORT_TIME {
        group.warning(
            NAME,
            format!("available; they expire at {time}, in {minutes} min"),
            "a dump that takes longer asks for new ones: check that their source can provide them by then",
        );
    } else {
        group.ok(
            NAME,
            format!("available; they expire at {time}, in {minutes} min"),
        );
    }
}

/// Asks STS whose the credentials are, where that applies. Returns whether the account is not known to be a wrong one.
async fn check_identity(
    group: &mut GroupChecks<'_>,
    environment: &Environment,
    path: &RequestPath,
) -> bool {
    let identity = match path.identity().await {
        Ok(Identity::OfLocalEngine) => return true,
        Ok(Identity::Known(identity)) => identity,
        // The ARN of the table tells the account, too.
        Ok(Identity::Unknown(error)) => {
            let hint = error.hint().unwrap_or_default();
            group.warning("Identity", finding(&error), hint);
            return true;
        }
        Err(error) => {
            group.problem("Identity", &error);
            return false;
        }
    };

    group.ok("Identity", &*identity.arn);
    let required = environment.account();
    match required {
        Some(required) if required.value != identity.account => {
            let error = Error::environment(format!(
                "the credentials belong to account {}, but environment {} must be account {} ({})",
                identity.account,
                environment.name(),
                required.value,
                required.source
            ));
            group.problem(
                "Account",
                &error.with_hint("use the credentials of the right account"),
            );
            false
        }
        Some(_) => {
            group.ok("Account", format!("{}, as required", identity.account));
            true
        }
        None => {
            group.ok(
                "Account",
                format!(
                    "{} (DYNADUMP_ACCOUNT does not require one)",
                    identity.account
                ),
            );
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{CheckState, Diagnosis};
    use super::*;

    #[test]
    fn keys_that_expire_soon_are_a_warning_and_expired_ones_a_problem() {
        let now: DateTime<Utc> = "2026-11-20T09:00:00Z".parse().unwrap();
        for (minutes, state) in [
            (60, CheckState::Ok),
            (10, CheckState::Warning),
            (-1, CheckState::Problem),
        ] {
            let mut checks = Checks::default();
            let expiry = Some(now + TimeDelta::minutes(minutes));
            check_expiry(&mut checks.group(CheckGroup::Credentials), expiry, now);
            let found = Diagnosis::new("prod", checks);
            assert_eq!(found.checks[0].state, state, "{minutes}");
        }
    }
}
