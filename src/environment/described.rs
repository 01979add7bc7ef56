//! The values of an environment with their sources, for people.

use super::Environment;

/// A value and its source in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSource {
    /// Name of the value: `region`.
    pub name: &'static str,
    /// The value; `None` if it is a secret.
    pub value: Option<String>,
    /// The source of the value: `envs/.env.prod line 3`.
    pub source: String,
}

/// The values that flags, the env file, the process environment or a profile give.
pub(crate) fn sources(environment: &Environment) -> Vec<NamedSource> {
    let named = |name, value: Option<String>, source: String| NamedSource {
        name,
        value,
        source,
    };
    let file = environment.file().map(|file| file.display().to_string());
    let mut found = vec![named(
        "environment",
        Some(environment.name().to_owned()),
        file.unwrap_or_else(|| "no env file".to_owned()),
    )];
    for (name, setting) in [
        ("table", environment.table()),
        ("region", environment.region()),
    ] {
        found.extend(setting.map(|it| named(name, Some(it.value.clone()), it.source.to_string())));
    }

    if let Some(source) = environment.endpoint().source() {
        let endpoint = environment.endpoint().to_string();
        found.push(named("endpoint", Some(endpoint), source.to_string()));
    }

    if let Some(source) = environment.credentials().source() {
        found.push(named("credentials", None, source.to_string()));
    }

    found
}
