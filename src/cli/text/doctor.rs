//! Text of `dumpdb --doctor`.

use console::Style;

use crate::layout::{Rows, counted, names};
use crate::ops::doctor::{Check, CheckGroup, CheckState, Diagnosis};

/// A row for each check, with what to do below it. `is_quiet`: only for warnings and problems.
pub(crate) fn rows(diagnosis: &Diagnosis, is_quiet: bool) -> Rows {
    const GROUPS: [(CheckGroup, &str); 6] = [
        (CheckGroup::Configuration, "Configuration"),
        (CheckGroup::Connection, "Connection"),
        (CheckGroup::Credentials, "Credentials"),
        (CheckGroup::Table, "Table"),
        (CheckGroup::Permissions, "Permissions"),
        (CheckGroup::Files, "Files"),
    ];

    let mut rows = Rows::new();
    for (group, heading) in GROUPS {
        let section = rows.group(heading);
        let checks = diagnosis.checks.iter().filter(|check| check.group == group);
        for check in checks.filter(|check| !is_quiet || needs_action(check)) {
            let label = format!("{:<7}  {}", state(check.state), check.name);
            section.named(&label, &*check.finding, false);
            if let Some(hint) = &check.hint {
                section.named("", format!("hint: {hint}"), false);
            }
        }
    }

    rows
}

fn needs_action(check: &Check) -> bool {
    matches!(check.state, CheckState::Warning | CheckState::Problem)
}

fn state(state: CheckState) -> &'static str {
    match state {
        CheckState::Ok => "ok",
        CheckState::Warning => "warning",
        CheckState::Problem => "problem",
        CheckState::Skipped => "skipped",
    }
}

/// The style of the state at the start of a row, and where it ends.
pub(crate) fn style(row: &str) -> Option<(usize, Style)> {
    let word = row.strip_prefix("  ")?.split(' ').next()?;
    let style = match word {
        "ok" => Style::new().green(),
        "warning" => Style::new().yellow().bold(),
        "problem" => Style::new().red().bold(),
        "skipped" => Style::new().dim(),
        _ => return None,
    };

    Some((word.len() + 2, style))
}

/// The number of problems and warnings, with their names.
pub(crate) fn verdict(diagnosis: &Diagnosis) -> String {
    let problems = counted_names(diagnosis, CheckState::Problem, "problem");
    let warnings = counted_names(diagnosis, CheckState::Warning, "warning");

    format!(
        "Environment {}: {problems}, {warnings}",
        diagnosis.environment
    )
}

/// `2 problems (Port, Output)`, `3 problems (Env file)`, `no warnings`.
fn counted_names(diagnosis: &Diagnosis, state: CheckState, unit: &str) -> String {
    let found = diagnosis.checks.iter().filter(|check| check.state == state);
    let mut found: Vec<String> = found.map(|check| check.name.clone()).collect();
    if found.is_empty() {
        return format!("no {unit}s");
    }

    let count = found.len() as u64;
    // Each broken line of an env file is a check of the same name.
    found.dedup();

    format!("{} ({})", counted(count, unit), names(&found, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_states_are_styled() {
        for (row, end) in [
            ("  ok       Port  open", Some(4)),
            ("  problem  Port  closed", Some(9)),
            ("           hint: warning", None),
            ("", None),
        ] {
            assert_eq!(style(row).map(|(end, _)| end), end, "{row:?}");
        }
    }
}
