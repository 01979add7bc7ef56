//! Which environments are protected: writing there asks for the table's name to be typed.
//!
//! By default: every name that begins with `prod` (`PROD` too), and every other whose endpoint is not local and whose name is
//! not `local`, `dev*`, `test*` or `staging*`. `DYNADUMP_PROTECTED` in the env file overrides that both ways. In the process
//! environment it can only add protection: a variable once exported must not open every environment at once.

use super::inputs::Inputs;
use super::{Sourced, keys};
use crate::error::Result;

/// Whether the environment `name` is protected.
pub(super) fn resolve(inputs: &Inputs<'_>, name: &str, local: bool) -> Result<bool> {
    if let Some(setting) = inputs.in_file(keys::PROTECTED) {
        return yes_or_no(&setting);
    }
    let by_default = by_default(name, local);
    let Some(setting) = inputs.in_process(keys::PROTECTED)? else { return Ok(by_default) };
    let wanted = yes_or_no(&setting)?;
    if by_default && !wanted {
        let what = format!("cannot take the protection from environment {name:?}; only an env file can");
        return Err(setting.source.error(what).with_hint("unset it, and answer a restore with --confirm <table>"));
    }
    Ok(wanted)
}

fn yes_or_no(setting: &Sourced<String>) -> Result<bool> {
    match setting.value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(setting.source.error("must be true or false")),
    }
}

fn by_default(name: &str, local: bool) -> bool {
    let production = name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("prod"));
    let harmless = name == "local" || ["dev", "test", "staging"].iter().any(|start| name.starts_with(start));
    production || !(local || harmless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_protected_by_default() {
        for (name, at_local_endpoint, elsewhere) in [
            ("prod", true, true),
            ("production-eu", true, true),
            ("PROD", true, true),
            ("local", false, false),
            ("dev", false, false),
            ("development", false, false),
            ("test2", false, false),
            ("staging-eu", false, false),
            ("locals", false, true),
            ("pre-prod", false, true),
            ("qa", false, true),
            ("Dev", false, true),
            ("no-env", false, true),
        ] {
            assert_eq!((by_default(name, true), by_default(name, false)), (at_local_endpoint, elsewhere), "{name}");
        }
    }
}
