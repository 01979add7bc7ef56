//! Options that name the two environments of a copy.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::common::{state_dir, working_dir};
use super::heading;
use crate::environment::{CopyFile, CopySide, EnvironmentRequest, SideInFile};
use crate::error::{Error, Result};
use crate::ops::route::Route;

/// Where the source and the target are.
#[derive(Debug, Args)]
#[command(next_help_heading = heading::CONNECTION)]
pub(super) struct SideArgs {
    /// Environment of the source, configured in envs/.env.NAME
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    from: Option<String>,

    /// Environment of the target, configured in envs/.env.NAME
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    to: Option<String>,

    /// Folder of the env files [default: envs/ in the working directory or one above it]
    #[arg(long, value_name = "DIR")]
    envs_dir: Option<PathBuf>,

    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "envs_dir",
        help = "File with the keys of both sides (SRC_AWS_ACCESS_KEY_ID, DEST_AWS_ACCESS_KEY_ID, …)"
    )]
    env_file: Option<PathBuf>,

    #[arg(
        long,
        value_name = "NAME",
        value_parser = NonEmptyStringValueParser::new(),
        help_heading = heading::SOURCE_AND_TARGET,
        help = "Tables to copy: a name, a list or patterns such as 'prod-*'; repeatable [default: \
                DYNAMODB_TABLE of the source environment]"
    )]
    table: Vec<String>,

    /// Profile of the AWS configuration for the source; without --from, no env file is used
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    from_profile: Option<String>,

    /// AWS region of the source
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    from_region: Option<String>,

    /// DynamoDB endpoint of the source, or embedded:FILE
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    from_endpoint_url: Option<String>,

    /// IAM role to assume for the source
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new())]
    from_role_arn: Option<String>,

    /// Profile of the AWS configuration for the target; without --to, no env file is used
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    to_profile: Option<String>,

    /// AWS region of the target
    #[arg(long, value_name = "REGION", value_parser = NonEmptyStringValueParser::new())]
    to_region: Option<String>,

    /// DynamoDB endpoint of the target, or embedded:FILE
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    to_endpoint_url: Option<String>,

    /// IAM role to assume for the target
    #[arg(long, value_name = "ARN", value_parser = NonEmptyStringValueParser::new())]
    to_role_arn: Option<String>,

    /// Use a protected environment through a remote http:// endpoint, without encryption
    #[arg(long)]
    allow_insecure_endpoint: bool,
}

/// The two environments of a copy.
#[derive(Clone)]
pub(crate) struct Sides {
    pub(crate) source: EnvironmentRequest,
    pub(crate) target: EnvironmentRequest,
    /// The rest of the file for both sides.
    pub(crate) file: CopyFile,
}

/// The flags of one side.
#[derive(Clone)]
struct SideFlags {
    side: CopySide,
    name: Option<String>,
    profile: Option<String>,
    region: Option<String>,
    endpoint_url: Option<String>,
    role_arn: Option<String>,
}

impl Sides {
    /// Whether both sides are the same environment, which can be opened only once if it is embedded.
    pub(crate) fn are_one_environment(&self) -> bool {
        let place = |side: &EnvironmentRequest| {
            (
                (side.name.clone(), side.side.clone()),
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
    /// The requests for both environments. With a backup, which DynamoDB restores where it is, the target need not be named.
    ///
    /// # Errors
    /// A side is not named; the file for both sides cannot be read, or has no credentials for a side.
    pub(super) fn resolve(self, route: &Route) -> Result<Sides> {
        let source = SideFlags {
            side: CopySide::Source,
            name: self.from,
            profile: self.from_profile,
            region: self.from_region,
            endpoint_url: self.from_endpoint_url,
            role_arn: self.from_role_arn,
        };
        let target = SideFlags {
            side: CopySide::Target,
            name: self.to,
            profile: self.to_profile,
            region: self.to_region,
            endpoint_url: self.to_endpoint_url,
            role_arn: self.to_role_arn,
        };

        let is_one = route.backup().is_some() && self.env_file.is_none();
        let target = if is_one && !target.is_named() && target.region.is_none() {
            SideFlags {
                side: CopySide::Target,
                ..source.clone()
            }
        } else {
            target
        };

        if self.env_file.is_some() && source.name.is_some() && target.name.is_some() {
            return Err(Error::usage(
                "--env-file has no effect if --from and --to name both sides",
            )
            .with_hint("omit --env-file, or the side that it contains"));
        }

        let working_dir = working_dir()?;
        let file = self.env_file.as_deref();
        let common = EnvironmentRequest {
            envs_dir: self.envs_dir,
            working_dir: working_dir.clone(),
            state_dir: state_dir(),
            allow_insecure_endpoint: self.allow_insecure_endpoint,
            ..EnvironmentRequest::default()
        };
        let source = source.request(file, &common)?;

        Ok(Sides {
            source: EnvironmentRequest {
                // A list, as in DYNAMODB_TABLE.
                table: (!self.table.is_empty()).then(|| self.table.join(",")),
                ..source
            },
            target: target.request(file, &common)?,
            file: match file {
                Some(file) => CopyFile::read(file, &working_dir)?,
                None => CopyFile::default(),
            },
        })
    }
}

impl SideFlags {
    /// The request for this side, which `file` describes unless an environment is named.
    fn request(
        self,
        file: Option<&Path>,
        common: &EnvironmentRequest,
    ) -> Result<EnvironmentRequest> {
        let file = file.filter(|_| self.name.is_none());
        let side = file.map(|file| SideInFile {
            path: file.to_owned(),
            side: self.side,
        });
        match &side {
            Some(side) if self.profile.is_none() => side.check(&common.working_dir)?,
            Some(_) => {}
            None => self.check()?,
        }

        Ok(EnvironmentRequest {
            no_env: self.name.is_none() && side.is_none(),
            name: self.name,
            side,
            profile: self.profile,
            region: self.region,
            endpoint_url: self.endpoint_url,
            role_arn: self.role_arn,
            ..common.clone()
        })
    }

    /// Whether anything names this side. A region alone does not: the default chain of AWS may lead to any account.
    fn is_named(&self) -> bool {
        let named = [
            &self.name,
            &self.profile,
            &self.endpoint_url,
            &self.role_arn,
        ];

        named.into_iter().any(Option::is_some)
    }

    /// Refuses a side that nothing names.
    fn check(&self) -> Result<()> {
        if self.is_named() {
            return Ok(());
        }

        let (side, flag) = match self.side {
            CopySide::Source => ("source", "from"),
            CopySide::Target => ("target", "to"),
        };

        Err(
            Error::usage(format!("the {side} of the copy is not named")).with_hint(format!(
                "pass --{flag} ENVIRONMENT, --{flag}-profile and --{flag}-region, or --env-file FILE"
            )),
        )
    }
}
