//! The flags that set the fields of requests, as messages of the library name them.

use crate::field::Field;

/// The flag for a field in messages of `copydb`, which has the flags of an environment twice.
pub(crate) fn flag_of_copy(field: Field) -> &'static str {
    match field {
        Field::Environment => "--from or --to",
        Field::Profile => "--from-profile or --to-profile",
        Field::Region => "--from-region or --to-region",
        Field::EndpointUrl => "--from-endpoint-url or --to-endpoint-url",
        Field::RoleArn => "--from-role-arn or --to-role-arn",
        other => flag(other),
    }
}

/// The flag for a field.
#[expect(clippy::too_many_lines, reason = "a table with a line for each field")]
pub(crate) fn flag(field: Field) -> &'static str {
    match field {
        Field::Environment => "--env",
        Field::NoEnv => "--no-env",
        Field::EnvsDir => "--envs-dir",
        Field::Init => "--init",
        Field::Doctor => "--doctor",
        Field::ListTables => "--list-tables",
        Field::PrintIamPolicy => "--print-iam-policy",
        Field::Table => "--table",
        Field::Profile => "--profile",
        Field::Region => "--region",
        Field::EndpointUrl => "--endpoint-url",
        Field::RoleArn => "--role-arn",
        Field::AllowInsecureEndpoint => "--allow-insecure-endpoint",

        Field::AllTables => "--all-tables",
        Field::Exclude => "--exclude",
        Field::WithTags => "--with-tag",

        Field::Yes => "--yes",
        Field::Confirm => "--confirm",

        Field::Wait => "--wait",
        Field::GiveUpAfter => "--give-up-after",

        Field::Source => "--source",
        Field::Target => "--output",
        Field::MaxReadUnits => "--max-rcu",
        Field::MaxWriteUnits => "--max-wcu",
        Field::Resume => "--resume",
        Field::Strict => "--strict",
        Field::AcceptIncomplete => "--accept-incomplete",

        Field::Segments => "--segments",
        Field::Limit => "--limit",
        Field::FilterExpression => "--filter-expression",
        Field::ProjectionExpression => "--projection-expression",
        Field::ExpressionAttributeNames => "--expression-attribute-names",
        Field::ExpressionAttributeValues => "--expression-attribute-values",

        Field::Route => "--route",
        Field::BackupName => "--backup-name",
        Field::BackupArn => "--backup-arn",
        Field::Backup => "--backup",
        Field::PointInTime => "--point-in-time",
        Field::ListBackups => "--list-backups",
        Field::FromTables => "--from-table",

        Field::KeepExisting => "--if-missing",
        Field::ReplaceExisting => "--replace",
        Field::NoCreate => "--no-create",
        Field::Schema => "--schema",
        Field::SchemaOnly => "--schema-only",
        Field::DataOnly => "--data-only",
        Field::With => "--with",
        Field::Without => "--without",
        Field::ApplySettings => "--apply-settings",
        Field::OnConflict => "--on-conflict",
        Field::Salvage => "--salvage",
        Field::AllowEmpty => "--allow-empty",

        Field::SourceEnvironment => "--from",
        Field::TargetEnvironment => "--to",
        Field::TargetTable => "--map",
        Field::DeleteExtra => "--delete-extra",

        Field::Overrides => "--set",
        Field::BillingMode => "--billing-mode",
        Field::ReadCapacity => "--read-capacity",
        Field::WriteCapacity => "--write-capacity",
        Field::IndexCapacity => "--set index-capacity",
        Field::OnDemandMaxRead => "--set on-demand-max-read",
        Field::OnDemandMaxWrite => "--set on-demand-max-write",
        Field::DropIndexes => "--drop-index",
        Field::OnlyIndexes => "--set only-index",
        Field::AddTags => "--set tag",
        Field::KeySchema => "--key-schema",

        Field::Sample => "--sample",
        Field::Where => "--where",
        Field::Filter => "--transform",
        Field::Command => "--transform-command",
        Field::CommandTimeout => "--transform-timeout",
        Field::PythonFunction => "--transform-python",
        Field::Python => "--python",
        Field::Mask => "--mask",
        Field::MaskKey => "--mask-key-file",

        Field::Quick => "--quick",
        Field::SecondEnvironment => "--against-env",
        Field::SecondTable => "--against-table",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::args::{CopyArgs, DumpArgs, RestoreArgs, VerifyArgs};
    use crate::schema::Overrides;

    #[test]
    fn every_flag_that_messages_name_exists() {
        let flags: BTreeSet<String> = [
            DumpArgs::command(),
            RestoreArgs::command(),
            VerifyArgs::command(),
            CopyArgs::command(),
        ]
        .iter()
        .flat_map(clap::Command::get_arguments)
        .filter_map(|argument| Some(format!("--{}", argument.get_long()?)))
        .collect();

        for flag in Field::ALL.iter().copied().map(flag) {
            let (name, key) = flag.split_once(' ').unwrap_or((flag, ""));
            assert!(flags.contains(name), "{flag}");

            // An assignment to an unknown key is refused with all the keys.
            let error = Overrides::default().set("no-such-key=1").unwrap_err();
            assert!(error.hint().unwrap().contains(key), "{flag}");
        }
    }
}
