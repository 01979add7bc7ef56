use super::*;
use crate::environment::{EnvironmentRequest, ProcessEnvironment, ValueSource};

fn table(server: Server) -> TableIdentity {
    let region = Some("eu-west-1".to_owned());
    TableIdentity {
        name: "films".to_owned(),
        id: None,
        server,
        file: None,
        account: None,
        region,
    }
}

fn at(url: &str) -> TableIdentity {
    table(Server::parse(url))
}

#[tokio::test]
async fn different_spellings_of_an_endpoint_are_the_same_server() {
    let groups: [&[&str]; 5] = [
        &[
            "http://localhost:8000",
            "http://LOCALHOST:8000/",
            "HTTP://127.0.0.1:8000",
            "http://[::1]:8000",
            "http://[0:0:0:0:0:0:0:1]:8000",
            "http://127.0.0.2:8000",
            "https://dynamodb.localhost.localstack.cloud:8000",
            "http://0.0.0.0:8000",
            "http://[::ffff:127.0.0.1]:8000",
            "http://127.1:8000",
        ],
        &[
            "http://10.0.0.1",
            "http://10.0.0.1:80/",
            "http://[::ffff:10.0.0.1]:80",
        ],
        &["http://localhost:4566"],
        &["https://10.0.0.1"],
        &[
            "https://dynamodb.eu-west-1.amazonaws.com",
            "https://vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com",
        ],
    ];

    for (number, group) in groups.iter().enumerate() {
        for one in *group {
            for (other_number, other) in groups
                .iter()
                .enumerate()
                .flat_map(|(number, group)| group.iter().map(move |url| (number, url)))
            {
                let is_same = at(one).is_same(&at(other)).await;
                assert_eq!(is_same, number == other_number, "{one} {other}");
            }
        }
    }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::Url {
        url: url.to_owned(),
        every_service: true,
        source: ValueSource::Field(crate::field::Field::EndpointUrl),
    }
}

#[tokio::test]
async fn the_key_of_the_state_does_not_depend_on_the_spelling_of_the_endpoint() {
    let key = async |url: &str| {
        let server = Server::from_endpoint(&endpoint(url)).without_alias().await;
        server.to_string()
    };

    for url in [
        "http://localhost:8000/",
        "HTTP://127.0.0.1:8000",
        "http://[::1]:8000",
        "http://0.0.0.0:8000",
        "http://[::ffff:127.0.0.1]:8000",
        "http://127.1:8000",
    ] {
        assert_eq!(key(url).await, "localhost:8000", "{url}");
    }

    assert_eq!(
        key("http://localhost/").await,
        key("http://127.0.0.1:80").await
    );
    assert_ne!(
        key("http://localhost:8000").await,
        key("http://localhost:8001").await
    );
    assert_ne!(
        key("http://10.0.0.1:8000").await,
        key("http://10.0.0.2:8000").await
    );
}

#[tokio::test]
async fn on_aws_the_key_of_the_state_is_of_the_account_whatever_the_environment_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let key = async |name: &str, account: Option<&str>, region: &str| {
        let request = EnvironmentRequest {
            name: Some(name.to_owned()),
            working_dir: folder.path().to_owned(),
            ..EnvironmentRequest::default()
        };
        let text = format!("AWS_REGION={region}\nAWS_PROFILE=ops\n");
        std::fs::create_dir_all(folder.path().join("envs")).unwrap();
        let path = folder.path().join(format!("envs/.env.{name}"));
        let mut file = std::fs::File::create(path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        let environment = Environment::resolve(&request, &ProcessEnvironment::default()).unwrap();
        let mut location = TableLocation::new(&environment, "films", "");
        location.account = account.map(ToOwned::to_owned);

        StateKey::new(&environment, &location).await
    };

    let account = Some("123456789012");
    let one = key("dev", account, "eu-west-1").await;
    let same = key("work", account, "eu-west-1").await;
    assert_eq!(one.to_string(), same.to_string());

    for (account, region) in [
        (Some("210987654321"), "eu-west-1"),
        (account, "us-east-1"),
        (None, "eu-west-1"),
    ] {
        let other = key("dev", account, region).await;
        assert_ne!(one.to_string(), other.to_string(), "{account:?} {region}");
    }

    let unknown = key("dev", None, "eu-west-1").await;
    assert_eq!(one.without_account().to_string(), unknown.to_string());
}

#[tokio::test]
async fn the_table_id_decides_if_both_sides_report_one() {
    let with = |server: Server, id: &str| TableIdentity {
        id: Some(id.to_owned()),
        ..table(server)
    };
    let [one, other] = ["http://10.0.0.1:1", "http://10.0.0.2:2"].map(Server::parse);
    assert!(
        with(one.clone(), "a")
            .is_same(&with(other.clone(), "a"))
            .await
    );

    assert!(
        !with(one.clone(), "a")
            .is_same(&with(one.clone(), "b"))
            .await
    );

    assert!(!with(one.clone(), "a").is_same(&table(other)).await);
    assert!(with(one.clone(), "a").is_same(&table(one)).await);

    // A tunnel to AWS.
    assert!(
        with(Server::Aws, "a")
            .is_same(&with(Server::parse("http://localhost:1"), "a"))
            .await
    );
}

#[tokio::test]
async fn on_aws_account_region_and_name_identify_a_table() {
    let aws = |account: Option<&str>, region: &str| TableIdentity {
        account: account.map(ToOwned::to_owned),
        region: Some(region.to_owned()),
        ..table(Server::Aws)
    };

    let table = aws(Some("123456789012"), "eu-west-1");
    assert!(table.is_same(&aws(Some("123456789012"), "eu-west-1")).await);
    assert!(table.is_same(&aws(None, "eu-west-1")).await);
    assert!(!table.is_same(&aws(Some("210987654321"), "eu-west-1")).await);
    assert!(!table.is_same(&aws(Some("123456789012"), "us-east-1")).await);
    let mut other = table.clone();
    other.name = "books".to_owned();
    assert!(!table.is_same(&other).await);
    let replica = |region| TableIdentity {
        id: Some("a".to_owned()),
        ..aws(None, region)
    };
    assert!(!replica("eu-west-1").is_same(&replica("us-east-1")).await);
}

#[tokio::test]
async fn an_embedded_database_is_identified_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let [one, copy, link] = ["one.db", "copy.db", "link.db"].map(|name| folder.path().join(name));
    for path in [&one, &copy] {
        std::fs::File::create(path).unwrap();
    }

    std::fs::hard_link(&one, &link).unwrap();
    let embedded = |path: &Path| TableIdentity {
        id: Some("a".to_owned()),
        file: device_and_inode(path),
        ..table(Server::Embedded(path.display().to_string()))
    };

    assert!(embedded(&one).is_same(&embedded(&link)).await);
    assert!(!embedded(&one).is_same(&embedded(&copy)).await);
}
