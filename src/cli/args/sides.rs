//! Options that name the two environments of a copy.

use std::path::PathBuf;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::common::working_dir;
use crate::environment::EnvironmentRequest;
use crate::error::{Error, Result};

/// Where the source and the target are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Environments")]
pub(super) struct SideArgs {
    /// Environment of the source, configured in envs/.env.NAME
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    from: Option<String>,

    /// Environment of the target, configured in envs/.env.NAME
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    to: Option<String>,

    /// Folder of the env files [default: envs/ in the working directory or one above it]
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    envs_dir: Option<PathBuf>,

    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        help = "Table to copy [default: DYNAMODB_TABLE of the source environment]"
    )]
    table: Option<String>,

    /// Profile of the AWS configuration for the source; without --from, no env file is used
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    from_profile: Option<String>,

    /// AWS region of the source
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    from_region: Option<String>,

    /// DynamoDB endpoint of the source, or embedded:FILE
    #[arg(long, value_name = "URL", hide_short_help = true, value_parser = NonEmptyStringValueParser::new())]
    from_endpoint_url: Option<String>,

    /// IAM role to assume for the source
    #[arg(long, value_name = "ARN", hide_short_help = true, value_parser = NonEmptyStringValueParser::new())]
    from_role_arn: Option<String>,

    /// Profile of the AWS configuration for the target; without --to, no env file is used
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    to_profile: Option<String>,

    /// AWS region of the target
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    to_region: Option<String>,

    /// DynamoDB endpoint of the target, or embedded:FILE
    #[arg(long, value_name = "URL", hide_short_help = true, value_parser = NonEmptyStringValueParser::new())]
    to_endpoint_url: Option<String>,

    /// IAM role to assume for the target
    #[arg(long, value_name = "ARN", hide_short_help = true, value_parser = NonEmptyStringValueParser::new())]
    to_role_arn: Option<String>,

    /// Use a protected environment through a remote http:// endpoint, without encryption
    #[arg(long, hide_short_help = true)]
    allow_insecure_endpoint: bool,
}

/// The two environments of a copy.
#[derive(Clone)]
pub(crate) struct Sides {
    pub(crate) source: EnvironmentRequest,
    pub(crate) target: EnvironmentRequest,
}

impl Sides {
    /// Whether both sides are the same environment, which can be opened only once if it is embedded.
    pub(crate) fn are_one_environment(&self) -> bool {
        let place = |side: &EnvironmentRequest| {
            (
                side.name.clone(),
                side.profile.clone(),
                side.region.clone(),
                side.endpoint_url.clone(),
                side.role_arn.clone(),
            )
        };

        place(&self.source) == place(&self.target)
    }
}

impl SideArgs {
    /// The requests for both environments.
    ///
    /// # Errors
    /// A side is not named.
    pub(super) fn resolve(self) -> Result<Sides> {
        let working_dir = working_dir()?;
        let side = |name: Option<String>,
                    [profile, region, endpoint_url, role_arn]: [Option<String>; 4],
                    table| {
            EnvironmentRequest {
                no_env: name.is_none(),
                name,
                envs_dir: self.envs_dir.clone(),
                working_dir: working_dir.clone(),
                table,
                profile,
                region,
                endpoint_url,
                role_arn,
                allow_insecure_endpoint: self.allow_insecure_endpoint,
            }
        };

        let source = [
            self.from_profile,
            self.from_region,
            self.from_endpoint_url,
            self.from_role_arn,
        ];
        let target = [
            self.to_profile,
            self.to_region,
            self.to_endpoint_url,
            self.to_role_arn,
        ];
        check_side("source", "from", self.from.as_ref(), &source)?;
        check_side("target", "to", self.to.as_ref(), &target)?;

        Ok(Sides {
            source: side(self.from, source, self.table),
            target: side(self.to, target, None),
        })
    }
}

/// Refuses a side that nothing names. The default chain of AWS may lead to any account.
fn check_side(
    side: &str,
    flag: &str,
    name: Option<&String>,
    [profile, _, endpoint_url, role_arn]: &[Option<String>; 4],
) -> Result<()> {
    if [
        name,
        profile.as_ref(),
        endpoint_url.as_ref(),
        role_arn.as_ref(),
    ]
    .iter()
    .any(Option::is_some)
    {
        return Ok(());
    }

    Err(
        Error::usage(format!("the {side} of the copy is not named")).with_hint(format!(
            "pass --{flag} ENVIRONMENT, or --{flag}-profile and --{flag}-region"
        )),
    )
}
