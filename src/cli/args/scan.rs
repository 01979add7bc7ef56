//! Options of a Scan, shared by the commands that read a table.

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::heading;
use super::value::cap;
use crate::error::{Error, Result};
use crate::limits::SCAN_SEGMENTS;
use crate::ops::{Cap, ScanOptions};
use crate::store::{Expressions, Selection};
use crate::transform::Transform;

// Not a doc comment: clap would take it for the description of the command.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::SELECTION)]
pub(super) struct ScanArgs {
    /// Number of parallel scan segments [default: by the size of the table]
    #[arg(long, value_name = "N", help_heading = heading::THROUGHPUT, value_parser = clap::value_parser!(u32).range(1..=i64::from(SCAN_SEGMENTS)))]
    segments: Option<u32>,

    /// Stop after this number of items, counted after the transform
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,

    /// Filter on the server, for example 'year > 1990 and genre = "Drama"'; filtered items still
    /// consume read units
    #[arg(long, value_name = "EXPR", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "schema_only")]
    filter_expression: Option<String>,

    /// Attributes to read, for example title,info.rating; the key is always included
    #[arg(long, value_name = "PATHS", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "schema_only")]
    projection_expression: Option<String>,

    /// Names for the #placeholders in expressions, for example '{"#y":"year"}'
    #[arg(long, value_name = "JSON", requires = "expressions")]
    expression_attribute_names: Option<String>,

    /// Values for the :placeholders in the filter, for example '{":y":{"N":"1990"}}'
    #[arg(long, value_name = "JSON", requires = "filter_expression")]
    expression_attribute_values: Option<String>,

    /// Use strongly consistent reads, which consume twice the read units
    #[arg(long, help_heading = heading::THROUGHPUT)]
    consistent_read: bool,

    /// Maximum read units per second, a percentage of the table's capacity, or none
    /// [default: 50% in a protected environment]
    #[arg(long, value_name = "N|N%|none", help_heading = heading::THROUGHPUT, value_parser = cap)]
    max_rcu: Option<Cap>,
}

impl ScanArgs {
    /// The first of these options that is given.
    pub(super) fn given(&self) -> Option<&'static str> {
        let options = [
            ("--segments", self.segments.is_some()),
            ("--limit", self.limit.is_some()),
            ("--filter-expression", self.filter_expression.is_some()),
            (
                "--projection-expression",
                self.projection_expression.is_some(),
            ),
            ("--consistent-read", self.consistent_read),
            ("--max-rcu", self.max_rcu.is_some()),
        ];
        let given = options.into_iter().find(|(_, is_given)| *is_given);

        given.map(|(option, _)| option)
    }

    /// The options of the Scan.
    ///
    /// # Errors
    /// An expression is not valid.
    pub(super) fn options(&self) -> Result<ScanOptions> {
        Ok(ScanOptions {
            segments: self.segments,
            limit: self.limit,
            consistent_read: self.consistent_read,
            max_read_units: self.max_rcu,
            selection: Selection::parse(&Expressions {
                filter_expression: self.filter_expression.as_deref(),
                projection_expression: self.projection_expression.as_deref(),
                expression_attribute_names: self.expression_attribute_names.as_deref(),
                expression_attribute_values: self.expression_attribute_values.as_deref(),
            })?,
        })
    }

    /// Rejects a projection if a mask rule has a condition: the condition is false if its attribute is not read, and the value
    /// that the rule should mask would remain in plain text.
    pub(super) fn check_conditions(&self, transform: &Transform) -> Result<()> {
        let have_conditions = transform
            .masks()
            .is_some_and(|masks| masks.rules().have_conditions());
        if self.projection_expression.is_none() || !have_conditions {
            return Ok(());
        }

        Err(Error::usage(
            "--projection-expression cannot be combined with --mask rules that have a condition (`when`)",
        )
        .with_hint(
            "omit --projection-expression and remove attributes with mask rules (action = \"drop\")",
        ))
    }
}
