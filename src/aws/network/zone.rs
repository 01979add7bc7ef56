//! Recognizes an availability zone (`us-east-1a`) that was given as the region: AWS has no host of that name.

/// The hint for a host or endpoint whose name contains an availability zone.
pub(in crate::aws) fn zone_hint(host: &str) -> Option<String> {
    let mut words = host.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let (zone, region) = words.find_map(|word| Some((word, region_of(word)?)))?;

    Some(format!(
        "{zone} looks like an availability zone; its region is {region}"
    ))
}

/// The region of an availability zone or a local zone (`us-west-2-lax-1a`).
fn region_of(zone: &str) -> Option<String> {
    let number_and_letter = zone.rsplit('-').next()?;
    let number = number_and_letter.strip_suffix(|c: char| c.is_ascii_lowercase())?;
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_geography = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_lowercase());

    let parts: Vec<_> = zone.split('-').collect();
    if !is_number(number) || !is_geography(parts[0]) || parts.len() < 3 {
        return None;
    }

    // A local zone has the number of its region before its own.
    let end = parts.iter().position(|part| is_number(part));
    Some(match end {
        Some(end) => parts[..=end].join("-"),
        None => format!("{}-{number}", parts[..parts.len() - 1].join("-")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn availability_zones_are_distinguished_from_regions_and_other_names() {
        for (host, region) in [
            ("dynamodb.us-east-1a.amazonaws.com", Some("us-east-1")),
            ("DynamoDB in ap-southeast-2c", Some("ap-southeast-2")),
            (
                "dynamodb.us-gov-west-1b.amazonaws.com",
                Some("us-gov-west-1"),
            ),
            ("dynamodb.us-west-2-lax-1a.amazonaws.com", Some("us-west-2")),
            ("dynamodb.us-east-1.amazonaws.com", None),
            (
                "vpce-0ab1-x1y2-us-east-1a.dynamodb.us-east-1.vpce.amazonaws.com",
                None,
            ),
            ("db-1a.example.com", None),
            ("", None),
        ] {
            let hint = zone_hint(host);
            let found = hint.as_deref().and_then(|it| it.rsplit(' ').next());
            assert_eq!(found, region, "{host}");
        }
    }
}
