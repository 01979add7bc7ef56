//! Execution of `dumpdb --init`: creates env files to fill in, and keeps credentials and dumps out of git.

use std::path::Path;

use serde_json::json;

use crate::cli::report::CommandOutcome;
use crate::cli::session::Session;
use crate::error::Result;
use crate::place::local::files::write_file;
use crate::place::{Access, create_unless_exists};

/// A `.gitignore` in each folder needs no change of the user's own.
const ENVS_GITIGNORE: &str = "\
# Env files contain credentials. Only those without any are committed.
.env.*
!.env.local
!.env.*.example
*.db
*.db-*
";

const BACKUPS_GITIGNORE: &str = "\
# Dumps contain data. To commit one: git add --force backups/dynamodb/<env>
*
!.gitignore
";

/// The files, relative to the working directory.
const FILES: [(&str, &str); 6] = [
    ("envs/.gitignore", ENVS_GITIGNORE),
    ("envs/.env.local", include_str!("../../../envs/.env.local")),
    (
        "envs/.env.dev.example",
        include_str!("../../../envs/.env.dev.example"),
    ),
    (
        "envs/.env.staging.example",
        include_str!("../../../envs/.env.staging.example"),
    ),
    (
        "envs/.env.prod.example",
        include_str!("../../../envs/.env.prod.example"),
    ),
    ("backups/.gitignore", BACKUPS_GITIGNORE),
];

/// Creates the files that do not exist, and says which.
///
/// # Errors
/// A file cannot be written.
pub(super) fn run(session: &Session) -> Result<CommandOutcome> {
    let (mut created, mut kept) = (Vec::new(), Vec::new());
    for (name, text) in FILES {
        let is_new = create_unless_exists(Path::new(name), |partial| {
            write_file(partial, text.as_bytes(), Access::Shared)
        })?;

        if is_new {
            session.console.info(&format!("Created {name}"));
            created.push(name);
        } else {
            session.console.info(&format!("Kept {name}, which exists"));
            kept.push(name);
        }
    }

    session.console.info(
        "Next: cp envs/.env.prod.example envs/.env.prod, fill it in, then run: dumpdb --env=prod --doctor",
    );

    CommandOutcome::acted(&json!({ "created": created, "kept": kept }), true)
}
