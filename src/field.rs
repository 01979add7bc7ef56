//! Fields of requests, as messages name them.
//!
//! A message that refers to an option of the caller contains a [`Field`], never the name of a flag: the library does not know
//! how a program lets its users set a field. Such a program calls [`name_fields_with`].

use std::fmt;
use std::sync::OnceLock;

static NAMES: OnceLock<fn(Field) -> &'static str> = OnceLock::new();

/// Sets how the messages of this process name fields, for example as flags. Only the first call counts, and it must precede
/// all others to this library. By default, messages contain [`Field::name`] in backticks.
pub fn name_fields_with(names: fn(Field) -> &'static str) {
    let _ = NAMES.set(names);
}

/// Defines [`Field`] with the name and the documentation of each variant.
macro_rules! fields {
    ($($variant:ident $name:literal)*) => {
        /// A field of a request, or one of its values.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Field {
            $(#[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Field {
            /// All fields.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in Rust.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

fields! {
    // EnvironmentRequest
    Environment "name"
    NoEnv "no_env"
    EnvsDir "envs_dir"
    Init "init"
    Doctor "doctor"
    ListTables "list of tables"
    PrintIamPolicy "permissions"
    Table "table"
    Profile "profile"
    Region "region"
    EndpointUrl "endpoint_url"
    RoleArn "role_arn"
    AllowInsecureEndpoint "allow_insecure_endpoint"

    // SelectionOptions
    AllTables "all"
    Exclude "exclude"
    WithTags "with_tags"

    // Answers
    Yes "yes"
    Confirm "confirm"

    // StoreOptions
    Wait "wait"
    GiveUpAfter "give_up_after"

    // Requests of several operations
    Source "source"
    Target "target"
    MaxReadUnits "max_read_units"
    MaxWriteUnits "max_write_units"
    Resume "resume"
    Strict "strict"
    AcceptIncomplete "accept_incomplete"

    // DumpRequest and its Selection
    Segments "segments"
    Limit "limit"
    FilterExpression "filter_expression"
    ProjectionExpression "projection_expression"
    ExpressionAttributeNames "expression_attribute_names"
    ExpressionAttributeValues "expression_attribute_values"
    Route "route"
    BackupName "route: Backup { name }"
    BackupArn "route: Backup { arn }"
    Backup "BackupChoice::OfTable"
    PointInTime "BackupChoice::PointInTime"
    ListBackups "list of backups"
    FromTables "from_tables"

    // RestoreRequest
    KeepExisting "existing: Keep"
    ReplaceExisting "existing: Replace"
    NoCreate "create: false"
    Schema "schema"
    SchemaOnly "content: SchemaOnly"
    DataOnly "content: DataOnly"
    With "settings.with"
    Without "settings.without"
    ApplySettings "apply_settings"
    OnConflict "on_conflict"
    Salvage "salvage"
    AllowEmpty "allow_empty"

    // A copy
    SourceEnvironment "source environment"
    TargetEnvironment "target environment"
    TargetTable "target table"
    DeleteExtra "delete_extra"

    // Overrides
    Overrides "overrides"
    BillingMode "billing_mode"
    ReadCapacity "read_capacity"
    WriteCapacity "write_capacity"
    IndexCapacity "index_capacity"
    OnDemandMaxRead "on_demand_max_read"
    OnDemandMaxWrite "on_demand_max_write"
    DropIndexes "drop_indexes"
    OnlyIndexes "only_indexes"
    AddTags "add_tags"
    KeySchema "key_schema"

    // Transform
    Sample "sample"
    Where "where"
    Filter "transform"
    Command "transform_command"
    CommandTimeout "transform_timeout"
    PythonFunction "transform_python"
    Python "python"
    Mask "mask"
    MaskKey "mask_key"

    // Verification
    Quick "quick"
    SecondEnvironment "against_env"
    SecondTable "against_table"
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get() {
            Some(names) => f.write_str(names(*self)),
            None => write!(f, "`{}`", self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_different_names_which_messages_quote() {
        let names: std::collections::BTreeSet<_> =
            Field::ALL.iter().map(|field| field.name()).collect();
        assert_eq!(names.len(), Field::ALL.len());
        assert_eq!(Field::Table.to_string(), "`table`");
    }
}
