//! Reads the action that AWS denied from its message, because it may differ from the operation: a Scan needs `kms:Decrypt`, too.
//!
//! The messages: <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>.

/// The kinds of policies that messages name.
const POLICIES: [&str; 7] = [
    "identity-based policy",
    "resource-based policy",
    "service control policy",
    "resource control policy",
    "permissions boundary",
    "session policy",
    "VPC endpoint policy",
];

/// A denied action.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denial<'a> {
    /// The action, such as `kms:Decrypt`.
    action: &'a str,
    /// ARN of the resource. Messages of KMS may lack it.
    resource: Option<&'a str>,
    /// The policy that decided, if the message names it.
    policy: Option<&'static str>,
    /// Whether that policy denies the action, rather than not allowing it.
    is_explicit: bool,
}

impl<'a> Denial<'a> {
    /// Finds the action in a message such as `User: … is not authorized to perform: kms:Decrypt on resource: …`.
    pub(super) fn parse(message: &'a str) -> Option<Self> {
        const EXPLICIT: &str = "with an explicit deny in ";

        let (_, rest) = message.split_once("not authorized to perform")?;
        let rest = rest.trim_start_matches(':').trim_start();
        let action = first_word(rest)?;
        if !is_action(action) {
            return None;
        }

        let resource = rest
            .split_once(" on resource: ")
            .and_then(|(_, resource)| first_word(resource));
        let explicit = rest.split_once(EXPLICIT);
        let reason = explicit.or_else(|| rest.split_once("because no "));
        let policy = reason.and_then(|(_, reason)| {
            // An explicit deny may be followed by the ARN of the policy.
            POLICIES.into_iter().find(|policy| {
                reason
                    .trim_start_matches("a ")
                    .trim_start_matches("an ")
                    .starts_with(policy)
            })
        });

        Some(Self {
            action,
            resource,
            policy,
            is_explicit: explicit.is_some(),
        })
    }

    /// Advice for the user; `target` was the operation's.
    pub(super) fn hint(&self, target: &str) -> String {
        let action = self.action;
        let resource = match self.resource {
            Some(resource) => resource.to_owned(),
            None if action.starts_with("kms:") => format!("the KMS key of {target}"),
            None => target.to_owned(),
        };

        match (self.policy, self.is_explicit) {
            (None | Some("identity-based policy"), false) => {
                format!("allow {action} on {resource} for these credentials")
            }
            (Some(policy), false) => format!("allow {action} on {resource} in the {policy}"),
            (policy, true) => {
                let policy = policy.unwrap_or("policy");
                let remedy = match policy {
                    "service control policy" | "resource control policy" => {
                        "ask an administrator of the organization to change it"
                    }
                    _ => "change it, or use other credentials",
                };

                format!(
                    "the {policy} denies {action} on {resource}, and no other policy can allow it; {remedy}"
                )
            }
        }
    }
}

/// The first word, without punctuation after it.
fn first_word(text: &str) -> Option<&str> {
    let word = text.split_whitespace().next()?;
    Some(word.trim_end_matches(['.', ',', ';', ':', '"', '\''])).filter(|word| !word.is_empty())
}

/// Whether the text has the form of an action: `dynamodb:Scan`.
fn is_action(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split_once(':')
        .is_some_and(|(service, action)| is_name(service) && is_name(action))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(reason: &str) -> String {
        let message = format!(
            "User: arn:aws:sts::111122223333:assumed-role/dump/eve is not authorized to perform: {reason}"
        );
        Denial::parse(&message)
            .unwrap_or_else(|| panic!("{message}"))
            .hint("table films")
    }

    #[test]
    fn the_hint_names_the_denied_action_its_resource_and_the_policy_to_change() {
        let scan = "dynamodb:Scan on resource: arn:aws:dynamodb:eu-west-1:111122223333:table/films";
        let key = "kms:Decrypt on resource: arn:aws:kms:eu-west-1:111122223333:key/1234";
        let this_key = "kms:Decrypt on this resource because the resource does not exist in this Region, no resource-based \
                        policies allow access, or a resource-based policy explicitly denies access";
        let films = "arn:aws:dynamodb:eu-west-1:111122223333:table/films";

        for (reason, expected) in [
            (scan.to_owned(), format!("allow dynamodb:Scan on {films} for these credentials")),
            (
                format!("{scan} because no identity-based policy allows the dynamodb:Scan action"),
                format!("allow dynamodb:Scan on {films} for these credentials"),
            ),
            (
                format!("{scan} because no VPC endpoint policy allows the dynamodb:Scan action"),
                format!("allow dynamodb:Scan on {films} in the VPC endpoint policy"),
            ),
            (
                format!("{key} because no resource-based policy allows the kms:Decrypt action"),
                "allow kms:Decrypt on arn:aws:kms:eu-west-1:111122223333:key/1234 in the resource-based policy".to_owned(),
            ),
            (
                this_key.to_owned(),
                "allow kms:Decrypt on the KMS key of table films for these credentials".to_owned(),
            ),
            (
                format!("{scan} with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/p-1"),
                format!(
                    "the service control policy denies dynamodb:Scan on {films}, and no other policy can allow it; ask an \
                     administrator of the organization to change it"
                ),
            ),
            (
                format!("{scan} with an explicit deny in an identity-based policy"),
                format!(
                    "the identity-based policy denies dynamodb:Scan on {films}, and no other policy can allow it; change it, or \
                     use other credentials"
                ),
            ),
            (
                format!("{scan} with an explicit deny in a resource-based policy."),
                format!(
                    "the resource-based policy denies dynamodb:Scan on {films}, and no other policy can allow it; change it, or \
                     use other credentials"
                ),
            ),
        ] {
            assert_eq!(hint(&reason), expected, "{reason}");
        }
    }

    #[test]
    fn a_message_that_names_no_action_is_not_parsed() {
        for message in [
            "",
            "Access Denied",
            "User is not authorized",
            "User: eve is not authorized to perform: this",
            "not authorized to perform",
            "not authorized to perform: :",
        ] {
            assert_eq!(Denial::parse(message), None, "{message}");
        }
    }
}
