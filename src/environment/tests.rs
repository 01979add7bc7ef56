//! Tests of complete environments, resolved from real folders, flags and simulated process
//! variables.

use std::path::Path;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::field::Field;

const LOCAL: &str = "LOCAL_AWS_ENDPOINT=http://localhost:4566\n";
const KEYS: &str = "AWS_ACCESS_KEY_ID=idhush\nAWS_SECRET_ACCESS_KEY=hush\n";

struct Case {
    dir: tempfile::TempDir,
    request: EnvironmentRequest,
    process: Vec<(&'static str, &'static str)>,
}

/// A project with one env file `envs/.env.<name>`, and a command line with `--env=<name>`.
fn case(name: &str, text: &str) -> Case {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("envs")).unwrap();
    put(&dir.path().join("envs").join(format!(".env.{name}")), text);
    let request = EnvironmentRequest {
        name: Some(name.to_owned()),
        working_dir: dir.path().to_owned(),
        ..EnvironmentRequest::default()
    };

    Case {
        dir,
        request,
        process: Vec::new(),
    }
}

fn put(path: &Path, text: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut EnvironmentRequest)) -> Self {
        change(&mut self.request);
        self
    }

    fn process<const N: usize>(mut self, pairs: [(&'static str, &'static str); N]) -> Self {
        self.process = pairs.into();
        self
    }

    fn resolve(&self) -> Result<Environment> {
        Environment::resolve(
            &self.request,
            &ProcessEnvironment::from_pairs(self.process.iter().copied()),
        )
    }

    /// With the profile `ops`, as if the shared AWS configuration had it.
    fn with_profile(&self, profile: &ProfileSettings) -> Result<Environment> {
        let process = ProcessEnvironment::from_pairs(self.process.iter().copied());
        UnresolvedEnvironment::read(&self.request, &process)?.resolve(Some(profile))
    }

    fn ok(&self) -> Environment {
        self.resolve().unwrap()
    }

    fn error(&self) -> Error {
        let error = self.resolve().unwrap_err();
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        error
    }
}

fn shown<T: std::fmt::Display>(sourced: Option<&Sourced<T>>) -> Option<String> {
    sourced.map(|it| format!("{} ({})", it.value, it.source))
}

#[test]
fn each_value_comes_from_the_first_place_that_names_it() {
    let file = "DYNAMODB_TABLE=of-file\n\nAWS_REGION=eu-file-1\n";
    let process = [
        ("DYNAMODB_TABLE", "of-process"),
        ("AWS_REGION", "eu-process-1"),
        ("AWS_DEFAULT_REGION", "other"),
    ];

    let all = case("dev", file).process(process).with(|it| {
        it.table = Some("of-flag".to_owned());
        it.region = Some("eu-flag-1".to_owned());
    });
    assert_eq!(
        shown(all.ok().table()),
        Some("of-flag (`table`)".to_owned())
    );
    assert_eq!(
        shown(all.ok().region()),
        Some("eu-flag-1 (`region`)".to_owned())
    );
    let no_flags = case("dev", file).process(process).ok();
    assert_eq!(
        shown(no_flags.table()),
        Some("of-file (envs/.env.dev line 1)".to_owned())
    );
    assert_eq!(
        shown(no_flags.region()),
        Some("eu-file-1 (envs/.env.dev line 3)".to_owned())
    );
    let no_file = case("dev", "").process(process).ok();
    assert_eq!(
        shown(no_file.table()),
        Some("of-process (DYNAMODB_TABLE in the process environment)".to_owned())
    );
    assert_eq!(
        shown(no_file.region()),
        Some("eu-process-1 (AWS_REGION in the process environment)".to_owned())
    );
    let nothing = case("dev", "").process([("AWS_REGION", "")]).ok();
    assert_eq!((nothing.table(), nothing.region()), (None, None));
    assert_eq!(nothing.endpoint(), &Endpoint::Aws);
    assert_eq!(nothing.credentials(), &Credentials::Chain);
    assert_eq!(
        shown(case("local", LOCAL).ok().region()),
        Some("us-east-1 (default)".to_owned())
    );
}

#[test]
fn an_environment_knows_its_name_and_file() {
    let case = case("dev", "DYNAMODB_TABLE=users");
    let found = case.ok();
    assert_eq!(
        (found.name(), found.file()),
        ("dev", Some(Path::new("envs/.env.dev")))
    );
    assert_eq!(found.single_table().unwrap(), Some("users"));
    let none = case.with(|it| (it.no_env, it.name) = (true, None)).ok();
    assert_eq!(
        (none.name(), none.file(), none.single_table().unwrap()),
        (NO_ENV_NAME, None, None)
    );
    assert!(none.is_protected());
}

#[test]
fn without_env_file_the_process_counts_as_far_as_aws_knows_it() {
    let process = [
        ("LOCAL_AWS_ENDPOINT", "http://localhost:4566"),
        ("DYNAMODB_TABLE", "users"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_PROFILE", "p"),
    ];

    let found = case("dev", "")
        .with(|it| (it.name, it.no_env) = (None, true))
        .process(process)
        .ok();
    assert_eq!((found.endpoint(), found.table()), (&Endpoint::Aws, None));
    assert!(matches!(found.credentials(), Credentials::Profile { .. }) && found.region().is_some());
}

#[test]
fn endpoints_in_their_order() {
    let resolve = |file: &str, flag: Option<&str>, process: &[(&'static str, &'static str)]| {
        let mut case = case("dev", file).with(|it| it.endpoint_url = flag.map(str::to_owned));
        case.process = process.to_vec();
        match case.ok().endpoint() {
            Endpoint::Url {
                url,
                every_service,
                source,
            } => format!("{url} {every_service} {source}"),
            other => other.to_string(),
        }
    };

    let specific = "AWS_ENDPOINT_URL_DYNAMODB=http://file:1\n";
    let process = [
        ("AWS_ENDPOINT_URL", "http://all:1"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://one:1"),
    ];
    assert_eq!(
        resolve(specific, Some("http://flag:1"), &process),
        "http://flag:1 false `endpoint_url`"
    );
    assert_eq!(
        resolve(specific, None, &process),
        "http://file:1 false envs/.env.dev line 1"
    );
    assert_eq!(
        resolve(
            "AWS_ENDPOINT_URL_DYNAMODB=http://a\nAWS_ENDPOINT_URL=http://a",
            None,
            &[]
        ),
        "http://a true envs/.env.dev line 2"
    );

    assert_eq!(
        resolve("LOCAL_AWS_ENDPOINT=http://a", None, &process),
        "http://a true envs/.env.dev line 1"
    );
    assert_eq!(
        resolve("", None, &process),
        "http://one:1 false AWS_ENDPOINT_URL_DYNAMODB in the process environment"
    );
    assert_eq!(
        resolve("", None, &process[..1]),
        "http://all:1 true AWS_ENDPOINT_URL in the process environment"
    );
    let ignoring = [process[0], ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")];
    assert_eq!(resolve("", None, &ignoring), "AWS");
    assert_eq!(
        resolve(specific, None, &ignoring),
        "http://file:1 false envs/.env.dev line 1"
    );
}

/// Settings of the profile `ops`.
fn profile(url: Option<&str>, is_for_every_service: bool) -> ProfileSettings {
    let sourced = |value: &str, setting: &str| Sourced {
        value: value.to_owned(),
        source: ValueSource::Profile {
            setting: setting.to_owned(),
            file: "~/.aws/config".into(),
        },
    };

    ProfileSettings {
        name: "ops".to_owned(),
        endpoint_url: url.map(|url| sourced(url, "endpoint_url of profile ops")),
        is_for_every_service,
        region: Some(sourced("eu-profile-1", "region of profile ops")),
        ..ProfileSettings::default()
    }
}

#[test]
fn the_endpoint_of_a_profile_comes_last_in_the_order_of_aws() {
    let resolve = |file: &str, process: &[(&'static str, &'static str)], ops: &ProfileSettings| {
        let mut case = case("dev", file);
        case.process = process.to_vec();
        let found = case.with_profile(ops).unwrap();
        match found.endpoint() {
            Endpoint::Url {
                url, every_service, ..
            } => format!("{url} {every_service} {}", found.is_local()),
            other => other.to_string(),
        }
    };

    let remote = profile(Some("http://10.0.0.5:8000"), true);
    let of_services = profile(Some("http://10.0.0.5:8000"), false);
    let local = profile(Some("http://localhost:8000"), false);
    assert_eq!(resolve("", &[], &remote), "http://10.0.0.5:8000 true false");
    assert_eq!(
        resolve("", &[], &of_services),
        "http://10.0.0.5:8000 false false"
    );
    assert_eq!(resolve("", &[], &local), "http://localhost:8000 true true");
    assert_eq!(resolve("", &[], &profile(None, false)), "AWS");

    for key in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"] {
        let first = resolve("", &[(key, "http://all:1")], &local);
        assert!(first.starts_with("http://all:1"), "{first}");
    }

    let in_file = resolve("AWS_ENDPOINT_URL=http://file:1", &[], &local);
    assert!(in_file.starts_with("http://file:1"), "{in_file}");
}

#[test]
fn configured_endpoints_can_be_ignored_by_variable_or_profile_as_aws_documents() {
    const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";
    let ops = profile(Some("http://localhost:8000"), true);
    let ignoring = ProfileSettings {
        ignores_endpoint_urls: true,
        ..ops.clone()
    };
    let resolve = |process: &[(&'static str, &'static str)], ops: &ProfileSettings| {
        let mut case = case("dev", "");
        case.process = process.to_vec();
        case.with_profile(ops).unwrap().endpoint().to_string()
    };

    let (url, all) = ("http://localhost:8000", ("AWS_ENDPOINT_URL", "http://all"));
    assert_eq!(resolve(&[(IGNORE, "true")], &ops), "AWS");
    assert_eq!(resolve(&[], &ignoring), "AWS");
    assert_eq!(resolve(&[all], &ignoring), "AWS");
    // The variable has precedence.
    assert_eq!(resolve(&[(IGNORE, "False")], &ignoring), url);
    assert_eq!(resolve(&[(IGNORE, "false"), all], &ignoring), "http://all");
    // Not a setting of AWS.
    let ours = ("LOCAL_AWS_ENDPOINT", "http://localhost:1");
    assert_eq!(resolve(&[(IGNORE, "true"), ours], &ops), ours.1);
}

#[test]
fn a_profile_is_read_only_if_it_can_change_the_endpoint() {
    let read = |file: &str, process: &[(&'static str, &'static str)], flags: [Option<&str>; 2]| {
        let case = case("dev", file).with(|it| {
            it.endpoint_url = flags[0].map(str::to_owned);
            it.profile = flags[1].map(str::to_owned);
        });
        let process = ProcessEnvironment::from_pairs(process.iter().copied());
        UnresolvedEnvironment::read(&case.request, &process)
            .unwrap()
            .profile_to_read()
            .unwrap()
    };
    let (named, none) = (("AWS_PROFILE", "of-process"), [None, None]);

    assert_eq!(read("", &[], none).unwrap(), "default");
    assert_eq!(read("", &[named], none).unwrap(), "of-process");
    let of_file = "AWS_PROFILE=of-file";
    assert_eq!(read(of_file, &[named], none).unwrap(), "of-file");
    let flag = [None, Some("of-flag")];
    assert_eq!(read(of_file, &[named], flag).unwrap(), "of-flag");
    // The profile may switch the variable off.
    let variable = ("AWS_ENDPOINT_URL", "http://localhost:1");
    assert!(read("", &[variable], none).is_some());

    assert_eq!(read(LOCAL, &[], none), None);
    assert_eq!(read("", &[], [Some("http://a"), None]), None);
    let local = ("LOCAL_AWS_ENDPOINT", "http://localhost:1");
    assert_eq!(read("", &[local], none), None);
    let ignoring = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    assert_eq!(read("", &[variable, ignoring], none), None);
}

#[test]
fn the_endpoint_of_a_profile_is_protected_like_any_other() {
    let resolve = |name: &str, url: &str| {
        let found = case(name, "").with_profile(&profile(Some(url), true));
        let found = found.unwrap();
        (found.is_local(), found.is_protected())
    };

    let (local, remote) = ("http://localhost:8000", "https://dynamodb.example");
    assert_eq!(resolve("prod", local), (true, true));
    assert_eq!(resolve("qa", local), (true, false));
    assert_eq!(resolve("qa", remote), (false, true));
    assert_eq!(resolve("dev", remote), (false, false));
    assert_eq!(resolve("local", local), (true, false));
    assert_eq!(resolve("local", remote), (false, false));
    // Only `LOCAL_AWS_ENDPOINT` may name a container.
    assert_eq!(resolve("qa", "http://localstack:4566"), (false, true));

    let error = case("local", "").with_profile(&profile(None, false));
    let error = error.unwrap_err();
    assert!(
        error.to_string().contains("does not set an endpoint"),
        "{error}"
    );
}

#[test]
fn a_local_endpoint_of_a_profile_is_used_with_its_keys_and_region() {
    let with_keys = ProfileSettings {
        has_static_keys: true,
        ..profile(Some("http://localhost:8000"), true)
    };
    let without_keys = profile(Some("http://localhost:8000"), true);

    let found = case("dev", "").with_profile(&with_keys).unwrap();
    assert!(matches!(found.credentials(), Credentials::Profile { name, .. } if name == "ops"));
    assert_eq!(
        shown(found.region()).unwrap(),
        "eu-profile-1 (region of profile ops, ~/.aws/config)"
    );
    // SSO or a role would be asked for at AWS.
    let found = case("dev", "").with_profile(&without_keys).unwrap();
    assert_eq!(found.credentials(), &Credentials::Local);
    assert_eq!(found.region().unwrap().value, "eu-profile-1");
    let found = case("dev", KEYS).with_profile(&with_keys).unwrap();
    assert!(matches!(found.credentials(), Credentials::Static { .. }));
    let found = case("dev", "AWS_REGION=eu-file-1").with_profile(&with_keys);
    assert_eq!(found.unwrap().region().unwrap().value, "eu-file-1");

    // Those of an endpoint that is named elsewhere.
    let found = case("dev", LOCAL).with_profile(&with_keys).unwrap();
    assert_eq!(found.credentials(), &Credentials::Local);
    assert_eq!(found.region().unwrap().value, LOCAL_REGION);
}

#[test]
fn an_invalid_endpoint_of_a_profile_is_an_error_that_does_not_quote_it() {
    for url in [
        "localhost:8000",
        "embedded:x.db",
        "http://user:hush@localhost",
    ] {
        let error = case("dev", "").with_profile(&profile(Some(url), true));
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Environment);
        let text = format!("{error:?}");
        assert!(
            error
                .to_string()
                .starts_with("endpoint_url of profile ops, ~/.aws/config: it ")
                && !text.contains("hush"),
            "{text}"
        );
    }
}

#[test]
fn embedded_files_are_relative_to_who_names_them() {
    let embedded = |found: &Environment| match found.endpoint() {
        Endpoint::Embedded { file, .. } => file.clone(),
        other => panic!("{other}"),
    };
    let in_file = case("dev", "LOCAL_AWS_ENDPOINT=embedded:data/x.db");
    let root = in_file.dir.path().to_owned();
    let sub = root.join("sub");
    std::fs::create_dir(&sub).unwrap();
    assert_eq!(embedded(&in_file.ok()), Some(root.join("data/x.db")));
    let below = in_file.with(|it| it.working_dir.clone_from(&sub));
    assert_eq!(embedded(&below.ok()), Some(root.join("data/x.db")));
    let flagged = below.with(|it| it.endpoint_url = Some("embedded:x.db".to_owned()));
    assert_eq!(embedded(&flagged.ok()), Some(sub.join("x.db")));
    let memory = case("dev", "LOCAL_AWS_ENDPOINT=embedded:").ok();
    assert_eq!(
        (embedded(&memory), memory.is_local(), memory.is_protected()),
        (None, true, false)
    );
    let absolute = case("dev", "")
        .process([("LOCAL_AWS_ENDPOINT", "embedded:/x.db")])
        .ok();
    assert_eq!(embedded(&absolute), Some("/x.db".into()));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn credentials_are_one_set_from_one_place() {
    let process_keys = [
        ("AWS_ACCESS_KEY_ID", "p"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_PROFILE", "of-process"),
    ];

    let process_profile = [("AWS_PROFILE", "of-process")];
    let local = |rest: &str| format!("{LOCAL}{rest}");
    for (file, flag, process, expected) in [
        (
            KEYS.to_owned(),
            Some("f"),
            &process_keys[..],
            "Profile f `profile`",
        ),
        (
            KEYS.to_owned(),
            None,
            &process_keys,
            "Static idhush envs/.env.dev line 1",
        ),
        (
            "AWS_PROFILE=q".to_owned(),
            None,
            &process_keys,
            "Profile q envs/.env.dev line 1",
        ),
        (
            String::new(),
            Some("f"),
            &process_keys,
            "Profile f `profile`",
        ),
        (
            String::new(),
            None,
            &process_keys,
            "Static p AWS_ACCESS_KEY_ID in the process environment",
        ),
        (
            String::new(),
            None,
            &process_profile,
            "Profile of-process AWS_PROFILE in the process environment",
        ),
        (String::new(), None, &[], "Chain"),
        (local(""), None, &[], "Local"),
        (local(""), None, &process_profile, "Local"),
        (
            local(""),
            None,
            &process_keys,
            "Static p AWS_ACCESS_KEY_ID in the process environment",
        ),
        (
            local("AWS_PROFILE=q"),
            None,
            &process_keys,
            "Profile q envs/.env.dev line 2",
        ),
        (
            local(KEYS),
            None,
            &process_keys,
            "Static idhush envs/.env.dev line 2",
        ),
        (local(""), Some("f"), &process_keys, "Profile f `profile`"),
    ] {
        let mut case = case("dev", &file).with(|it| it.profile = flag.map(str::to_owned));
        case.process = process.to_vec();
        let got = match case.ok().credentials() {
            Credentials::Static {
                access_key_id,
                source,
                secret_access_key,
                ..
            } => {
                assert_eq!(secret_access_key.expose(), "hush");
                format!("Static {access_key_id} {source}")
            }
            Credentials::Profile { name, source } => format!("Profile {name} {source}"),
            other => format!("{other:?}"),
        };

        assert_eq!(got, expected, "{file} {flag:?} {process:?}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of files and errors")]
fn a_file_that_is_half_or_contradicts_itself_is_refused() {
    for (file, message) in [
        (
            "AWS_ACCESS_KEY_ID=hush",
            "line 1: AWS_ACCESS_KEY_ID requires AWS_SECRET_ACCESS_KEY too",
        ),
        (
            "\nAWS_SECRET_ACCESS_KEY=hush",
            "line 2: AWS_SECRET_ACCESS_KEY requires AWS_ACCESS_KEY_ID too",
        ),
        (
            "AWS_SESSION_TOKEN=hush",
            "line 1: AWS_SESSION_TOKEN requires AWS_ACCESS_KEY_ID too",
        ),
        (
            "AWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=hush\nAWS_PROFILE=p",
            "line 3: AWS_PROFILE is a second set of credentials, after the AWS_ACCESS_KEY_ID on line 1",
        ),
        (
            "AWS_REGION=a\nAWS_DEFAULT_REGION=b",
            "line 2: AWS_DEFAULT_REGION differs from AWS_REGION on line 1, which has the same meaning",
        ),
        (
            "AWS_ENDPOINT_URL=http://a\nLOCAL_AWS_ENDPOINT=http://b",
            "line 1: AWS_ENDPOINT_URL differs from LOCAL_AWS_ENDPOINT on line 2, which has the same meaning",
        ),
        ("AWS_REGION=EU", "line 1: AWS_REGION is not a valid region"),
        (
            "AWS_REGION=eu.evil/x",
            "line 1: AWS_REGION is not a valid region",
        ),
        (
            "AWS_ENDPOINT_URL=http://u:hush@h",
            "line 1: AWS_ENDPOINT_URL must not have a user name or password in its URL",
        ),
        (
            "AWS_ROLE_ARN=hush",
            "line 1: AWS_ROLE_ARN is not the ARN of a role",
        ),
        (
            "AWS_ROLE_EXTERNAL_ID=x",
            "line 1: AWS_ROLE_EXTERNAL_ID requires AWS_ROLE_ARN too",
        ),
        (
            "DYNADUMP_ACCOUNT=1234",
            "line 1: DYNADUMP_ACCOUNT is not an AWS account id of 12 digits",
        ),
        (
            "DYNADUMP_PROTECTED=maybe",
            "line 1: DYNADUMP_PROTECTED must be true or false",
        ),
        (
            "DYNADUMP_SAMPLE=x",
            "line 1: DYNADUMP_SAMPLE needs an embedded endpoint in the same file",
        ),
        (
            "LOCAL_AWS_ENDPOINT=embedded:\nAWS_ROLE_ARN=arn:aws:iam::123456789012:role/r",
            "line 2: AWS_ROLE_ARN names a role, but the embedded engine (envs/.env.dev line 1) has none",
        ),
    ] {
        let error = case("dev", file).error();
        assert_eq!(error.to_string(), format!("envs/.env.dev {message}"));
        assert_eq!(error.kind(), ErrorKind::Environment);
    }
}

#[test]
fn half_a_set_in_the_process_environment_is_refused_unless_it_is_not_used() {
    for (key, missing) in [
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID"),
    ] {
        let error = case("dev", "").process([(key, "hush")]).error();
        assert_eq!(
            error.to_string(),
            format!("{key} in the process environment: it requires {missing} too")
        );
        assert!(case("dev", KEYS).process([(key, "hush")]).resolve().is_ok());
    }
}

#[test]
fn a_key_without_a_value_is_refused_unless_the_endpoint_is_local() {
    for key in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_REGION",
        "LOCAL_AWS_ENDPOINT",
    ] {
        let error = case("dev", &format!("# x\n{key}=\nDYNAMODB_TABLE=\n")).error();
        assert_eq!(
            error.to_string(),
            format!("envs/.env.dev line 2: {key} is empty")
        );
        assert_eq!(error.kind(), ErrorKind::Environment);
    }

    assert!(
        case("dev", &format!("{LOCAL}AWS_PROFILE=\n"))
            .resolve()
            .is_ok()
    );
}

#[test]
fn an_empty_key_pair_in_the_process_does_not_mean_the_default_profile() {
    for key in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let empty = [(key, "")];
        let error = case("dev", "").process(empty).error();
        assert_eq!(
            error.to_string(),
            format!("{key} in the process environment: it is empty")
        );
        assert!(case("dev", KEYS).process(empty).resolve().is_ok());
        assert!(case("dev", LOCAL).process(empty).resolve().is_ok());
        assert!(
            case("dev", "")
                .process([(key, ""), ("AWS_PROFILE", "p")])
                .resolve()
                .is_ok()
        );
    }
}

#[test]
fn a_local_environment_has_an_endpoint() {
    let error = case("local", "AWS_REGION=eu-west-1").error();
    assert_eq!(
        error.to_string(),
        "envs/.env.local does not set an endpoint (LOCAL_AWS_ENDPOINT)"
    );
    assert_eq!(error.kind(), ErrorKind::Environment);
    assert!(
        case("local", "")
            .with(|it| it.endpoint_url = Some("embedded:".to_owned()))
            .resolve()
            .is_ok()
    );
}

#[test]
fn flags_that_contradict_or_mislead_are_refused() {
    let flags: [fn(&mut EnvironmentRequest); 3] = [
        |it| it.profile = Some("p".to_owned()),
        |it| it.region = Some("eu-west-1".to_owned()),
        |it| it.role_arn = Some("arn:aws:iam::123456789012:role/r".to_owned()),
    ];

    for flag in flags {
        let error = case("local", LOCAL)
            .with(|it| it.name = None)
            .with(flag)
            .error();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("`no_env`") && hint.contains("`name`="))
        );

        assert!(case("local", LOCAL).with(flag).resolve().is_ok());
        assert!(
            case("local", LOCAL)
                .with(|it| (it.name, it.no_env) = (None, true))
                .with(flag)
                .resolve()
                .is_ok()
        );
    }

    assert_eq!(
        case("local", LOCAL).with(|it| it.name = None).ok().name(),
        "local"
    );
    assert_eq!(
        case("local", LOCAL)
            .with(|it| it.no_env = true)
            .error()
            .kind(),
        ErrorKind::Usage
    );

    for value in ["", "a\nb"] {
        let error = case("local", LOCAL)
            .with(|it| it.table = Some(value.to_owned()))
            .error();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}

#[test]
fn a_role_comes_only_from_flag_or_file() {
    let arn = "arn:aws:iam::123456789012:role/of-flag";
    let file = "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/of-file\nAWS_ROLE_EXTERNAL_ID=x\n";
    let of_file = case("dev", file).ok();
    assert_eq!(
        of_file.role().unwrap().arn.value,
        "arn:aws:iam::123456789012:role/of-file"
    );
    let of_flag = case("dev", file)
        .with(|it| it.role_arn = Some(arn.to_owned()))
        .ok();
    let role = of_flag.role().unwrap();
    assert_eq!(
        (role.arn.value.as_str(), role.external_id.as_deref()),
        (arn, Some("x"))
    );
    assert_eq!(role.source(), &ValueSource::Field(Field::RoleArn));
    let of_process = case("dev", "")
        .process([("AWS_ROLE_ARN", arn), ("AWS_ROLE_SESSION_NAME", "s")])
        .ok();
    assert_eq!(of_process.role(), None);
}

#[test]
fn only_the_file_takes_protection_away() {
    for (name, file, process, expected) in [
        ("prod", "", None, true),
        ("prod", "DYNADUMP_PROTECTED=false", None, false),
        ("prod", "DYNADUMP_PROTECTED=No", Some("true"), false),
        ("dev", "", None, false),
        ("dev", "DYNADUMP_PROTECTED=1", Some("false"), true),
        ("dev", "", Some("true"), true),
        ("dev", "", Some("false"), false),
    ] {
        let mut case = case(name, file);
        case.process = process
            .map(|value| ("DYNADUMP_PROTECTED", value))
            .into_iter()
            .collect();
        assert_eq!(
            case.ok().is_protected(),
            expected,
            "{name} {file} {process:?}"
        );
    }

    let error = case("prod", "")
        .process([("DYNADUMP_PROTECTED", "false")])
        .error();
    assert_eq!(
        error.to_string(),
        "DYNADUMP_PROTECTED in the process environment: it cannot remove the protection of environment \"prod\"; only an \
         env file can"
    );
}

#[test]
fn the_account_is_read_from_file_then_process() {
    let of_process = case("dev", "")
        .process([("DYNADUMP_ACCOUNT", "123456789012")])
        .ok();
    assert_eq!(
        shown(of_process.account()),
        Some("123456789012 (DYNADUMP_ACCOUNT in the process environment)".to_owned())
    );
    let of_file = case("dev", "DYNADUMP_ACCOUNT=000000000000")
        .process([("DYNADUMP_ACCOUNT", "123456789012")])
        .ok();
    assert_eq!(
        shown(of_file.account()),
        Some("000000000000 (envs/.env.dev line 1)".to_owned())
    );
}

#[test]
fn a_sample_fills_the_engine_of_its_own_file_only() {
    let file = "LOCAL_AWS_ENDPOINT=embedded:envs/demo.db\nDYNADUMP_SAMPLE=envs/sample\n";
    let demo = case("demo", file);
    assert_eq!(
        demo.ok().sample(),
        Some(&Sample::Folder(demo.dir.path().join("envs/sample")))
    );

    for endpoint in ["embedded:other.db", "http://localhost:4566"] {
        let elsewhere = case("demo", file).with(|it| it.endpoint_url = Some(endpoint.to_owned()));
        assert_eq!(elsewhere.ok().sample(), None, "{endpoint}");
    }

    let of_process =
        case("dev", "DYNADUMP_SAMPLE=x").process([("LOCAL_AWS_ENDPOINT", "embedded:x.db")]);
    assert_eq!(of_process.error().kind(), ErrorKind::Environment);
}

#[test]
fn the_demo_needs_no_env_file_and_a_file_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let request = EnvironmentRequest {
        name: Some("demo".to_owned()),
        working_dir: dir.path().to_owned(),
        state_dir: Some(dir.path().join("state")),
        ..EnvironmentRequest::default()
    };
    let built_in = Environment::resolve(&request, &ProcessEnvironment::default()).unwrap();
    assert_eq!(
        (built_in.sample(), built_in.single_table().unwrap()),
        (Some(&Sample::BuiltIn), Some("FilmCatalogue"))
    );
    assert!(!built_in.is_protected());
    let Endpoint::Embedded { file, .. } = built_in.endpoint() else {
        panic!("{:?}", built_in.endpoint());
    };
    assert_eq!(
        file.as_deref(),
        Some(dir.path().join("state/demo.db").as_path())
    );

    let without_folder = EnvironmentRequest {
        state_dir: None,
        ..request
    };
    let in_memory = Environment::resolve(&without_folder, &ProcessEnvironment::default()).unwrap();
    assert!(matches!(
        in_memory.endpoint(),
        Endpoint::Embedded { file: None, .. }
    ));

    let of_file = case("demo", "LOCAL_AWS_ENDPOINT=embedded:mine.db\n").ok();
    assert_eq!(of_file.sample(), None);
}

#[test]
fn debug_shows_no_secret() {
    let text = format!("{KEYS}AWS_SESSION_TOKEN=hush-token\n");
    let found = case("dev", &text).ok();
    assert!(matches!(
        found.credentials(),
        Credentials::Static {
            session_token: Some(_),
            ..
        }
    ));

    let debug = format!("{found:?} {:#?}", found.credentials());
    assert!(!debug.contains("hush"), "{debug}");

    if let Credentials::Static {
        secret_access_key, ..
    } = found.credentials()
    {
        assert_eq!(format!("{secret_access_key:?}"), "[redacted]");
    }
}

#[test]
fn a_protected_environment_makes_a_protected_approval() {
    for (name, asks_for_name) in [("prod", true), ("dev", false)] {
        let approval =
            Approval::for_table(&case(name, "").ok(), "films", "Write the items", Vec::new());
        let asked = matches!(
            approval.decide(&Answers::default()).unwrap(),
            Decision::Ask(Prompt::TypeName(_))
        );
        assert_eq!(asked, asks_for_name);
    }
}

#[test]
fn shipped_files_work_and_examples_want_to_be_filled_in() {
    let local = case("local", include_str!("../../envs/.env.local")).ok();
    assert_eq!(
        (local.is_local(), local.is_protected(), local.table()),
        (true, false, None)
    );
    let demo = case("demo", include_str!("../../envs/.env.demo")).ok();
    assert_eq!(
        (demo.is_local(), demo.single_table().unwrap()),
        (true, Some("FilmCatalogue"))
    );
    assert!(demo.sample().is_some());

    for (name, example) in [
        ("dev", include_str!("../../envs/.env.dev.example")),
        ("staging", include_str!("../../envs/.env.staging.example")),
        ("prod", include_str!("../../envs/.env.prod.example")),
    ] {
        assert!(
            case(name, example)
                .error()
                .to_string()
                .ends_with("still contains a placeholder")
        );

        let filled: String = example
            .lines()
            .map(|line| {
                line.replace("your-region", "eu-west-1")
                    .replace("your-account-id", "123456789012")
                    + "\n"
            })
            .map(|line| line.replace("your-", "our-"))
            .collect();

        let found = case(name, &filled).ok();
        assert_eq!(found.is_protected(), name == "prod");

        // Each commented setting is refused as it is, too.
        for line in example.lines().filter_map(|line| {
            line.strip_prefix("# ")
                .filter(|line| line.contains("=your-"))
        }) {
            assert!(
                case(name, line)
                    .error()
                    .to_string()
                    .ends_with("still contains a placeholder"),
                "{line}"
            );
        }
    }
}
