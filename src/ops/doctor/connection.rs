//! Checks of the connection: proxy, host name, port, TLS and HTTP, clock.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::report::{CheckGroup, Checks, GroupChecks};
use crate::environment::Address;
use crate::error::{Error, ErrorKind};
use crate::store::diagnosis::{RequestPath, Route, ServerAnswer, addresses, connect};

/// Difference of the clocks above which AWS rejects signatures
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html>).
const MAX_SECONDS: u64 = 5 * 60;

/// Difference of the clocks that is worth a warning.
const NOTABLE_SECONDS: u64 = 60;

/// Files that exist only in a container of Docker or Podman.
const CONTAINER_FILES: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];

/// The host name by which a container of Docker reaches the machine it runs on.
const DOCKER_HOST: &str = "host.docker.internal";

/// Checks the connection. Returns whether the endpoint answers.
pub(super) async fn check(checks: &mut Checks, path: &RequestPath) -> bool {
    let mut group = checks.group(CheckGroup::Connection);
    group.ok("URL", path.url().trim_end_matches('/'));
    let is_reached = match path.route() {
        Route::Proxy { name, address } => {
            group.ok("Proxy", format!("{name}; it resolves the host name"));
            reach(
                &mut group,
                path,
                Address::from_url(&format!("http://{address}")),
            )
            .await
        }
        Route::AroundProxy(name) => {
            group.ok(
                "Proxy",
                format!("not used: NO_PROXY excludes the host from {name}"),
            );
            reach(&mut group, path, path.address()).await
        }
        Route::Direct => reach(&mut group, path, path.address()).await,
    };

    let name = if path.url().starts_with("https") {
        "TLS"
    } else {
        "HTTP"
    };
    if !is_reached {
        group.skipped(name, "the host does not answer");
        return false;
    }

    match path.ask().await {
        Ok(answer) => {
            group.ok(name, answer_in_words(path, answer));
            check_clock(&mut group, answer);
            true
        }
        Err(error) => {
            // Without an answer in time, the endpoint is not reachable.
            let error = match error.kind() {
                ErrorKind::Failed => error.of_kind(ErrorKind::NotFound),
                _ => error,
            };
            group.problem(name, &error);
            false
        }
    }
}

/// Resolves a host name and connects to its addresses.
async fn reach(group: &mut GroupChecks<'_>, path: &RequestPath, server: Option<Address>) -> bool {
    // A URL without a host is an error of the request.
    let Some(Address { host, port }) = server else {
        return true;
    };

    let found = match addresses(&host, port).await {
        Ok(found) => found,
        Err(error) => {
            let reason = format!("{host} cannot be resolved: {error}");
            group.problem("Host name", &with_own_hint(path, &host, error, &reason));
            group.skipped("Port", "the host name cannot be resolved");
            return false;
        }
    };

    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_err() {
        group.ok("Host name", format!("{host} is {}", listed(&found)));
    }

    connect_to(group, path, &host, &found).await
}

/// Connects to one address of each family. Returns whether one accepts connections.
async fn connect_to(
    group: &mut GroupChecks<'_>,
    path: &RequestPath,
    host: &str,
    found: &[SocketAddr],
) -> bool {
    let of_family = |is_wanted: fn(&SocketAddr) -> bool| found.iter().find(|it| is_wanted(it));
    let (mut accepted, mut refused) = (Vec::new(), Vec::new());
    let mut last = None;
    for address in [
        of_family(SocketAddr::is_ipv4),
        of_family(SocketAddr::is_ipv6),
    ]
    .into_iter()
    .flatten()
    {
        match connect(*address).await {
            Ok(()) => accepted.push(address.to_string()),
            Err(error) => {
                refused.push(format!("{address}: {error}"));
                last = Some(error);
            }
        }
    }

    if let (Some(error), true) = (last, accepted.is_empty()) {
        let reason = format!("no connection to {}", refused.join("; "));
        group.problem("Port", &with_own_hint(path, host, error, &reason));
        return false;
    }

    let others = refused.iter().map(|refusal| format!("; {refusal}"));
    let others: String = others.collect();
    group.ok(
        "Port",
        format!("{} accepts connections{others}", accepted.join(" and ")),
    );

    true
}

/// The error of the step, with the hint for a server that is not reached, or for containers.
fn with_own_hint(path: &RequestPath, host: &str, cause: io::Error, reason: &str) -> Error {
    let unreachable = path.unreachable(cause);
    let hints = [
        unreachable.hint().map(ToOwned::to_owned),
        container_hint(host),
    ];

    Error::not_found(reason).with_hints(hints.into_iter().flatten())
}

/// What to do about a host that is not reached because of a container.
fn container_hint(host: &str) -> Option<String> {
    let is_container = CONTAINER_FILES.iter().any(|file| Path::new(file).exists());
    hint_in_container(host, is_container)
}

fn hint_in_container(host: &str, is_container: bool) -> Option<String> {
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    let is_loopback = host == "localhost" || is_address.is_ok_and(|ip| ip.is_loopback());
    let is_service = !host.contains(['.', ':']);

    if is_container && is_loopback {
        Some(format!(
            "in a container, {host} is the container itself: use {DOCKER_HOST}, or the name of the service"
        ))
    } else if host == DOCKER_HOST {
        Some(format!(
            "in a container on Linux, start it with `docker run --add-host={DOCKER_HOST}:host-gateway`; outside, use localhost"
        ))
    } else if is_service && !is_loopback && !is_container {
        Some(format!(
            "{host} is a name within a network of containers: outside of it, use localhost and the published port"
        ))
    } else {
        None
    }
}

/// The addresses of a host.
fn listed(found: &[SocketAddr]) -> String {
    /// AWS has many addresses for one name.
    const SHOWN: usize = 4;

    let mut texts: Vec<String> = found.iter().map(|it| it.ip().to_string()).collect();
    texts.dedup();
    let more = texts.len().saturating_sub(SHOWN);
    texts.truncate(SHOWN);
    if more > 0 {
        texts.push(format!("and {more} more"));
    }

    texts.join(", ")
}

fn answer_in_words(path: &RequestPath, answer: ServerAnswer) -> String {
    let status = answer.status;
    if path.url().starts_with("https") {
        format!(
            "the certificate is trusted ({}); the server answers HTTP {status}",
            path.trusted()
        )
    } else {
        format!("the server answers HTTP {status}, without encryption")
    }
}

/// Compares the clocks.
fn check_clock(group: &mut GroupChecks<'_>, answer: ServerAnswer) {
    const NAME: &str = "Clock";
    const HINT: &str = "set the clock of this machine, for example with NTP";

    let Some(ahead) = answer.seconds_ahead else {
        return group.skipped(NAME, "the server does not tell the time");
    };

    let seconds = ahead.unsigned_abs();
    let direction = if ahead > 0 { "behind" } else { "ahead of" };
    let difference = format!(
        "this machine is {} {direction} the server",
        in_words(seconds)
    );
    if seconds > MAX_SECONDS {
        let error = Error::environment(format!(
            "{difference}: AWS rejects signatures that are more than 5 minutes early or late"
        ));
        group.problem(NAME, &error.with_hint(HINT));
    } else if seconds > NOTABLE_SECONDS {
        group.warning(NAME, difference, HINT);
    } else {
        group.ok(NAME, "within a minute of the server's");
    }
}

fn in_words(seconds: u64) -> String {
    if seconds < 120 {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds / 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_depend_on_containers_have_hints_of_their_own() {
        for (host, is_container, part) in [
            ("localhost", true, Some("the container itself")),
            ("127.0.0.1", true, Some("the container itself")),
            ("[::1]", true, Some("the container itself")),
            ("localhost", false, None),
            (DOCKER_HOST, false, Some("host-gateway")),
            (DOCKER_HOST, true, Some("host-gateway")),
            ("localstack", false, Some("published port")),
            ("localstack", true, None),
            ("dynamodb.eu-west-1.amazonaws.com", false, None),
            ("10.0.0.1", true, None),
        ] {
            let hint = hint_in_container(host, is_container);
            assert_eq!(hint.is_some(), part.is_some(), "{host}: {hint:?}");
            assert!(
                hint.is_none_or(|hint| hint.contains(part.unwrap_or_default())),
                "{host}"
            );
        }
    }

    #[test]
    fn a_clock_is_wrong_above_a_minute_and_refused_above_five() {
        use super::super::report::{CheckState, Diagnosis};

        for (seconds_ahead, state) in [
            (Some(0), CheckState::Ok),
            (Some(-60), CheckState::Ok),
            (Some(61), CheckState::Warning),
            (Some(300), CheckState::Warning),
            (Some(-301), CheckState::Problem),
            (None, CheckState::Skipped),
        ] {
            let mut checks = Checks::default();
            let answer = ServerAnswer {
                status: 200,
                seconds_ahead,
            };
            check_clock(&mut checks.group(CheckGroup::Connection), answer);
            let found = Diagnosis::new("dev", checks);
            assert_eq!(found.checks[0].state, state, "{seconds_ahead:?}");
        }
    }
}
