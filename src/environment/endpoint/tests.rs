use super::*;

#[test]
fn loopback_is_this_machine_and_nothing_else() {
    for url in [
        "http://localhost:4566",
        "HTTP://LOCALHOST",
        "https://dynamodb.localhost/path",
        "http://127.0.0.1:8000/",
        "http://127.9.9.9",
        "http://[::1]:8000",
        "http://host.docker.internal:8000",
        "https://localhost.localstack.cloud:4566",
        "https://dynamodb.localhost.localstack.cloud",
    ] {
        assert_eq!(host_of(url).map(is_own_host), Ok(true), "{url}");
    }

    for url in [
        "https://dynamodb.eu-west-1.amazonaws.com",
        "http://localhost.example.com",
        "http://127.0.0.1.example.com",
        "http://notlocalhost",
        "http://10.0.0.1",
        "http://192.168.1.1",
        "http://0.0.0.0:8000",
        "http://127.1",
        "http://2130706433",
        "http://[::]",
        "http://[::ffff:127.0.0.1]",
        "http://[fe80::1]",
        "http://localstack:4566",
        "http://evil-localhost.localstack.cloud",
        "http://evillocalhost.localstack.cloud",
        "http://example.com/localhost",
    ] {
        assert_eq!(host_of(url).map(is_own_host), Ok(false), "{url}");
    }
}

fn named(url: &str, source: ValueSource) -> Endpoint {
    parse(
        Sourced {
            value: url.to_owned(),
            source,
        },
        false,
        Path::new("/"),
    )
    .unwrap()
}

#[test]
fn a_container_is_local_if_the_local_key_names_it() {
    let local = ValueSource::File {
        path: "envs/.env.dev".into(),
        line: 1,
        key: keys::LOCAL_ENDPOINT,
    };

    for (url, is_local) in [
        ("http://localstack:4566", true),
        ("HTTP://dynamodb-local", true),
        ("https://localstack:4566", false),
        ("http://localstack.internal:4566", false),
        ("http://10.0.0.1:4566", false),
        ("http://134744072", false),
        ("http://0x08080808", false),
        ("http://[fe80::1]", false),
    ] {
        assert_eq!(named(url, local.clone()).is_local(), is_local, "{url}");
        assert_eq!(
            named(url, ValueSource::Process(keys::LOCAL_ENDPOINT)).is_local(),
            is_local,
            "{url}"
        );

        let other = ValueSource::File {
            path: "envs/.env.dev".into(),
            line: 1,
            key: keys::ENDPOINT,
        };

        for source in [
            other,
            ValueSource::Process(keys::ENDPOINT),
            ValueSource::Field(Field::EndpointUrl),
        ] {
            assert!(!named(url, source).is_local(), "{url}");
        }
    }
}

#[test]
fn a_local_environment_calls_no_other_host() {
    let source = ValueSource::Process(keys::DYNAMODB_ENDPOINT);
    for (url, expected) in [
        ("http://127.0.0.1:8000", true),
        ("http://10.0.0.1:8000", false),
    ] {
        let endpoint = named(url, source.clone());
        assert!(
            matches!(endpoint, Endpoint::Url { every_service, .. } if every_service == expected),
            "{url}"
        );
    }
}

#[test]
fn aws_is_known_by_its_domains() {
    for (host, is_aws) in [
        ("dynamodb.eu-west-1.amazonaws.com", true),
        ("dynamodb-fips.us-gov-west-1.amazonaws.com", true),
        ("123456789012.ddb.us-east-1.amazonaws.com", true),
        ("vpce-0a1b-2c3d.dynamodb.eu-west-1.vpce.amazonaws.com", true),
        ("DynamoDB.CN-North-1.AmazonAWS.com.cn", true),
        ("dynamodb.eu-west-1.api.aws", true),
        ("dynamodb-fips.us-east-1.api.aws", true),
        ("dynamodb.cn-north-1.api.amazonwebservices.com.cn", true),
        ("dynamodb.eusc-de-east-1.amazonaws.eu", true),
        ("dynamodb.us-iso-east-1.c2s.ic.gov", true),
        ("amazonaws.com.example.com", false),
        ("notamazonaws.com", false),
        ("localhost.localstack.cloud", false),
        ("localhost", false),
        ("10.0.0.1", false),
    ] {
        let endpoint = named(
            &format!("https://{host}"),
            ValueSource::Field(Field::EndpointUrl),
        );
        assert_eq!(endpoint.is_aws(), is_aws, "{host}");
        assert!(!(endpoint.is_aws() && endpoint.is_local()), "{host}");
    }

    assert!(Endpoint::Aws.is_aws());
}

#[test]
fn urls_that_are_refused() {
    for url in [
        "",
        "localhost:4566",
        "ftp://localhost",
        "http:/localhost",
        "http://",
        "http://:80",
        "http:///x",
        "http://localhost@example.com",
        "http://user:hush@localhost",
        "http://localhost:",
        "http://localhost:0",
        "http://localhost:65536",
        "http://localhost:+80",
        "http://localhost:80:80",
        "http://localhost?x=1",
        "http://localhost/#x",
        "http://localhost\\@example.com",
        "http://local host",
        "http://::1",
        "http://[::1",
        "http://[::1]x",
        "http://[::1%lo]",
        "http://.localhost",
        "http://localhost.",
        "http://a..localhost",
        "http://löcalhost",
        "Embedded:x",
    ] {
        let error = parse(
            Sourced {
                value: url.to_owned(),
                source: ValueSource::Default,
            },
            true,
            Path::new("/"),
        );

        let error = error.expect_err(url);
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(url in "(https?://)?[\\[\\]:/@.a-z0-9é]{0,20}") {
        let _ = host_of(&url).map(is_own_host);
    }
}
