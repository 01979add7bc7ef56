use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Difference, TableSchema, differences};
use crate::error::{Error, ErrorKind};
use crate::item::{KeyAttribute, KeySchema, KeyType};

const PROVISIONED: &str = include_str!("samples/provisioned.json");
const ON_DEMAND: &str = include_str!("samples/on_demand.json");
const REQUEST: &str = include_str!("samples/request.json");

fn parse(document: &str) -> TableSchema {
    TableSchema::parse(document.as_bytes()).unwrap()
}

fn parse_value(document: &Value) -> TableSchema {
    parse(&document.to_string())
}

/// A copy of `document` with the value at `pointer` set.
fn with(document: &str, pointer: &str, value: Value) -> TableSchema {
    let mut document: Value = serde_json::from_str(document).unwrap();
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap()[field] = value;

    parse_value(&document)
}

fn failure(document: &str) -> Error {
    TableSchema::parse(document.as_bytes()).unwrap_err()
}

fn request(schema: &TableSchema, table: &str) -> Value {
    serde_json::from_slice(&schema.create_table_request(table).unwrap().body).unwrap()
}

fn left_out(schema: &TableSchema) -> Vec<String> {
    schema
        .create_table_request("t")
        .unwrap()
        .not_recreated
        .into_iter()
        .map(|setting| setting.setting)
        .collect()
}

/// The texts of differences.
fn texts(differences: &[Difference]) -> Vec<[&str; 3]> {
    differences
        .iter()
        .map(|other| [other.setting.as_str(), &other.dump, &other.table])
        .collect()
}

fn lines(schema: &TableSchema) -> Vec<String> {
    schema
        .outline()
        .rows()
        .into_iter()
        .map(|(label, words)| format!("{label}: {words}"))
        .collect()
}

mod documents {
    use super::*;

    #[test]
    fn the_described_table_stays_verbatim() {
        let table = r#"{ "KeySchema":[{"KeyType":"HASH", "AttributeName":"\u0070k"}],"AttributeDefinitions":[],
            "Future": {"b":1.000, "a":1E400, "a":[12345678901234567890123456789012345678.90]} }"#;
        let document = format!("{{\"Tags\": [ ],\"Table\":{table},\"x\\ny\":\t-0.0 }}\n");
        let written = String::from_utf8(parse(&document).to_document()).unwrap();
        assert_eq!(
            written,
            format!("{{\n\"Table\": {table},\n\"Tags\": [ ],\n\"x\\ny\": -0.0\n}}\n")
        );
        assert_eq!(
            parse(&written).to_document(),
            written.as_bytes(),
            "writing again changes nothing"
        );
    }

    #[test]
    fn every_form_reads_as_the_same_table() {
        let table: Value = serde_json::from_str::<Value>(PROVISIONED).unwrap()["Table"].take();
        let forms = [
            json!({"Table": table, "ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}),
            json!({"TableDescription": table}),
            table.clone(),
        ];

        let byte_order_mark = format!("\u{feff}{PROVISIONED}");
        let expected = parse_value(&json!({"Table": table})).to_document();
        for form in forms {
            assert_eq!(parse_value(&form).to_document(), expected);
        }

        assert_eq!(
            parse(&byte_order_mark).to_document(),
            parse(PROVISIONED).to_document()
        );
    }

    #[test]
    fn null_is_absence() {
        let mut table: Value = serde_json::from_str::<Value>(REQUEST).unwrap();
        for field in [
            "LocalSecondaryIndexes",
            "StreamSpecification",
            "BillingModeSummary",
            "TableArn",
            "TableSizeBytes",
        ] {
            table[field] = Value::Null;
        }

        table["GlobalSecondaryIndexes"][0]["Projection"]["NonKeyAttributes"] = Value::Null;
        assert_eq!(
            differences(&parse_value(&table), &parse(REQUEST)),
            super::super::Differences::default()
        );
        assert_eq!(left_out(&parse_value(&table)), left_out(&parse(REQUEST)));
    }

    #[test]
    fn an_invalid_schema_is_refused_by_name() {
        for (document, missing) in [
            (r#"{"Items":[]}"#, "neither `Table` nor `KeySchema`"),
            (
                r#"{"Table":{"TableName":"t"}}"#,
                "missing field `KeySchema`",
            ),
            (
                r#"{"KeySchema":[]}"#,
                "missing field `AttributeDefinitions`",
            ),
            (
                r#"{"KeySchema":[{"AttributeName":"a"}],"AttributeDefinitions":[]}"#,
                "missing field `KeyType`",
            ),
            (r#"{"Table":null}"#, "null"),
            ("[1]", "expected a JSON object"),
        ] {
            let error = failure(document);
            assert_eq!(error.kind(), ErrorKind::SchemaMismatch, "{document}");
            assert!(error.to_string().contains(missing), "{document}: {error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn invalid_json_is_damage() {
        let unfinished = &PROVISIONED[..PROVISIONED.len() / 2];
        let twice = format!("{REQUEST}{REQUEST}");
        for document in ["", unfinished, &twice, "{\"Table\": {\"TableName\": tru}}"] {
            assert_eq!(failure(document).kind(), ErrorKind::Damaged, "{document}");
        }

        assert_eq!(
            TableSchema::parse(b"{\"Table\":\"\xff\"}")
                .unwrap_err()
                .kind(),
            ErrorKind::Damaged
        );

        let too_long = vec![b' '; usize::try_from(crate::limits::DOCUMENT_BYTES).unwrap() + 1];
        assert_eq!(
            TableSchema::parse(&too_long).unwrap_err().kind(),
            ErrorKind::Damaged
        );
    }

    #[test]
    fn deep_nesting_is_safe() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        let document = format!(
            r#"{{"Table":{{"KeySchema":[{{"AttributeName":"a","KeyType":"HASH"}}],
            "AttributeDefinitions":[{{"AttributeName":"a","AttributeType":"S"}}],"Deep":{deep}}},"Deeper":{deep}}}"#
        );
        assert_eq!(left_out(&parse(&document)), ["Deeper", "Deep"]);
    }

    proptest! {
        #[test]
        fn no_input_panics(position in 0..PROVISIONED.len(), byte: u8, junk in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut document = PROVISIONED.as_bytes().to_vec();
            document[position] = byte;
            for document in [&document, &junk] {
                if let Ok(schema) = TableSchema::parse(document) {
                    let _ = (schema.outline(), schema.activity(), schema.create_table_request("t"), schema.region());
                    let _ = differences(&schema, &parse(PROVISIONED));
                }
            }
        }
    }
}

mod keys {
    use super::*;

    fn attribute(name: &str, kind: KeyType) -> KeyAttribute {
        KeyAttribute {
            name: name.to_owned(),
            kind,
        }
    }

    fn with_key(key: &Value, definitions: &Value) -> TableSchema {
        parse_value(&json!({"KeySchema": key, "AttributeDefinitions": definitions}))
    }

    #[test]
    fn partition_and_sort_key_are_distinguished_by_type_not_by_position() {
        let key = parse(PROVISIONED).key_schema().unwrap();
        assert_eq!(
            key,
            KeySchema {
                partition: attribute("id", KeyType::S),
                sort: Some(attribute("year", KeyType::N))
            }
        );

        let swapped = with_key(
            &json!([{"AttributeName": "s", "KeyType": "RANGE"}, {"AttributeName": "p", "KeyType": "HASH"}]),
            &json!([{"AttributeName": "s", "AttributeType": "B"}, {"AttributeName": "p", "AttributeType": "N"}]),
        );
        let key = swapped.key_schema().unwrap();
        assert_eq!(
            key,
            KeySchema {
                partition: attribute("p", KeyType::N),
                sort: Some(attribute("s", KeyType::B))
            }
        );

        assert_eq!(request(&swapped, "t")["KeySchema"][0]["AttributeName"], "p");
    }

    #[test]
    fn a_key_no_table_can_have_is_refused() {
        let element = |name: &str, kind: &str| json!({"AttributeName": name, "KeyType": kind});
        let a_and_b = json!([{"AttributeName": "a", "AttributeType": "S"}, {"AttributeName": "b", "AttributeType": "BOOL"}]);
        for (key, why) in [
            (json!([]), "one HASH"),
            (json!([element("a", "RANGE")]), "one HASH"),
            (
                json!([element("a", "HASH"), element("b", "HASH")]),
                "one HASH",
            ),
            (
                json!([element("a", "HASH"), element("b", "FUTURE")]),
                "one HASH",
            ),
            (
                json!([element("a", "HASH"), element("b", "RANGE")]),
                "`BOOL`",
            ),
            (json!([element("c", "HASH")]), "`c` of the table is missing"),
        ] {
            let schema = with_key(&key, &a_and_b);
            for error in [
                schema.key_schema().unwrap_err(),
                schema.create_table_request("t").unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
                assert!(error.to_string().contains(why), "{error}");
            }
        }
    }

    #[test]
    fn an_index_key_without_definition_is_refused() {
        let key = json!([{"AttributeName": "nowhere", "KeyType": "HASH"}]);
        let schema = with(
            PROVISIONED,
            "/Table/GlobalSecondaryIndexes/0/KeySchema",
            key,
        );

        assert!(schema.key_schema().is_ok());
        let error = schema.create_table_request("t").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(
            error
                .to_string()
                .contains("`nowhere` of index `by-director`"),
            "{error}"
        );
    }
}

mod requests {
    use super::*;

    #[test]
    fn a_provisioned_table_is_recreated_completely() {
        let expected = json!({
            "TableName": "films-copy",
            "AttributeDefinitions": [
                {"AttributeName": "id", "AttributeType": "S"},
                {"AttributeName": "year", "AttributeType": "N"},
                {"AttributeName": "director", "AttributeType": "S"},
                {"AttributeName": "poster", "AttributeType": "B"},
            ],
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "year", "KeyType": "RANGE"},
            ],
            "GlobalSecondaryIndexes": [{
                "IndexName": "by-director",
                "KeySchema": [
                    {"AttributeName": "director", "KeyType": "HASH"},
                    {"AttributeName": "year", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["title", "rating"]},
                "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 6},
            }],
            "LocalSecondaryIndexes": [{
                "IndexName": "by-poster",
                "KeySchema": [
                    {"AttributeName": "id", "KeyType": "HASH"},
                    {"AttributeName": "poster", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }],
            "BillingMode": "PROVISIONED",
            "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 4},
        });

        let schema = parse(PROVISIONED);
        assert_eq!(request(&schema, "films-copy"), expected);
        assert_eq!(left_out(&schema), Vec::<String>::new());
    }

    #[test]
    fn an_on_demand_table_keeps_its_maximums_and_key_order() {
        let body = request(&parse(ON_DEMAND), "matches");
        assert_eq!(body["BillingMode"], "PAY_PER_REQUEST");
        assert_eq!(body["TableClass"], "STANDARD_INFREQUENT_ACCESS");
        assert_eq!(
            body["OnDemandThroughput"],
            json!({"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 50})
        );
        let index = &body["GlobalSecondaryIndexes"][0];
        assert_eq!(
            index["OnDemandThroughput"],
            json!({"MaxReadRequestUnits": 40})
        );
        let key: Vec<_> = index["KeySchema"]
            .as_array()
            .unwrap()
            .iter()
            .map(|part| &part["AttributeName"])
            .collect();

        assert_eq!(key, ["tournament", "region", "round", "level"]);
        assert!(!body.to_string().contains("ProvisionedThroughput"));
    }

    #[test]
    fn everything_left_out_is_named() {
        assert_eq!(
            left_out(&parse(ON_DEMAND)),
            Vec::<String>::new(),
            "all of it is in the request or in calls"
        );

        let mut document: Value = serde_json::from_str(ON_DEMAND).unwrap();
        let table = &mut document["Table"];
        table["MultiRegionConsistency"] = json!("STRONG");
        table["DisassociationProtectionEnabled"] = json!(true);
        table["GlobalTableSettingsReplicationMode"] = json!("ENABLED_WITH_OVERRIDES");
        table["BillingModeSummary"]["BillingMode"] = json!("BARTER");
        table["VectorIndexes"]
            .as_array_mut()
            .unwrap()
            .push(json!("unheard of"));
        document["Tags"] = json!([{"Key": "aws:stack", "Value": "s"}, {"Key": "a", "Value": ""}]);
        let mut named = left_out(&parse_value(&document));
        named.sort();
        assert_eq!(
            named,
            [
                "1 tags managed by AWS",
                "1 vector indexes",
                "billing mode BARTER",
                "multi-region consistency STRONG",
            ]
        );
    }

    #[test]
    fn settings_of_global_tables_are_named_unless_they_are_the_default() {
        let named = |field: &str, value: Value| {
            let mut document: Value = serde_json::from_str(ON_DEMAND).unwrap();
            document["Table"][field] = value;
            left_out(&parse_value(&document))
        };

        let mode = "GlobalTableSettingsReplicationMode";
        for default in ["DISABLED", "ENABLED_WITH_OVERRIDES"] {
            assert_eq!(named(mode, json!(default)), [""; 0], "{default}");
        }

        assert_eq!(
            named(mode, json!("ENABLED")),
            ["global table settings replication ENABLED"]
        );

        let protection = "DisassociationProtectionEnabled";
        assert_eq!(named(protection, json!(true)), [""; 0]);
        assert_eq!(
            named(protection, json!(false)),
            ["disassociation protection off"]
        );
    }

    #[test]
    fn a_request_written_by_hand_is_completed() {
        let schema = parse(REQUEST);
        let body = request(&schema, "notes");
        assert_eq!(
            body["AttributeDefinitions"],
            json!([{"AttributeName": "owner", "AttributeType": "S"}])
        );
        let capacity = json!({"ReadCapacityUnits": 2, "WriteCapacityUnits": 3});
        assert_eq!(
            body["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"], capacity,
            "the table's"
        );
        assert_eq!(
            body["SSESpecification"],
            json!({"Enabled": true, "SSEType": "KMS"})
        );
        assert_eq!(body["TableClass"], "STANDARD_INFREQUENT_ACCESS");
        assert_eq!(body["Tags"], json!([{"Key": "team", "Value": "films"}]));
        assert_eq!(left_out(&schema), Vec::<String>::new());
    }

    #[test]
    fn zeros_are_never_sent() {
        let zero = json!({"ReadCapacityUnits": 0, "WriteCapacityUnits": 0});
        let index = with(
            PROVISIONED,
            "/Table/GlobalSecondaryIndexes/0/ProvisionedThroughput",
            zero.clone(),
        );

        let capacity = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 4});
        assert_eq!(
            request(&index, "t")["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"],
            capacity
        );
        let stated = request(&with(REQUEST, "/ProvisionedThroughput", zero.clone()), "t");
        assert_eq!(
            stated["ProvisionedThroughput"],
            json!({"ReadCapacityUnits": 1, "WriteCapacityUnits": 1})
        );
        let no_mode = request(
            &with(PROVISIONED, "/Table/ProvisionedThroughput", zero),
            "t",
        );
        assert_eq!(no_mode["BillingMode"], "PAY_PER_REQUEST");
        assert!(!no_mode.to_string().contains("ProvisionedThroughput"));
    }

    #[test]
    fn fields_of_a_later_api_are_named_by_their_place() {
        let mut document: Value = serde_json::from_str(PROVISIONED).unwrap();
        document["Table"]["ShardPlan"] = json!({"Shards": 7});
        document["Table"]["NothingSet"] = json!([]);
        document["Table"]["ProvisionedThroughput"]["Burst"] = json!(false);
        document["Table"]["GlobalSecondaryIndexes"][0]["Sparse"] = json!(true);
        document["Table"]["LocalSecondaryIndexes"][0]["Projection"]["Filter"] = json!("a > 1");
        document["ContinuousBackups"] = json!({"PointInTimeRecovery": true});
        let mut named = left_out(&parse_value(&document));
        named.sort();
        assert_eq!(
            named,
            [
                "ContinuousBackups.PointInTimeRecovery",
                "GlobalSecondaryIndexes.by-director.Sparse",
                "LocalSecondaryIndexes.by-poster.Projection.Filter",
                "ProvisionedThroughput.Burst",
                "ShardPlan",
            ]
        );
    }

    #[test]
    fn unknown_parts_of_sections_are_named() {
        let mut document: Value = serde_json::from_str(PROVISIONED).unwrap();
        document["TimeToLive"] =
            json!({"TimeToLiveStatus": "ENABLED", "AttributeName": "expires", "Grace": 3});
        document["AutoScaling"] =
            json!({"ScalableTargets": [{"Mood": "calm"}], "Forecasts": [1], "None": null});
        document["Tags"] = json!({"not_captured": "denied"});
        document["Sharding"] = json!({"Shards": 1});
        let mut named = left_out(&parse_value(&document));
        named.sort();
        assert_eq!(
            named,
            [
                "AutoScaling.Forecasts",
                "AutoScaling.ScalableTargets.0.Mood",
                "Sharding",
                "TimeToLive.Grace"
            ]
        );
    }

    #[test]
    fn vector_indexes_pass_without_what_dynamodb_counts() {
        let index = json!({
            "IndexName": "by-likeness", "IndexStatus": "ACTIVE", "Backfilling": false, "IndexSizeBytes": 9, "ItemCount": 1,
            "IndexArn": "arn:…", "Dimensions": 3, "DistanceFunction": "COSINE", "Quantization": {"Bits": 8},
            "VectorAttribute": {"AttributeName": "likeness"},
            "SearchSchema": [{"AttributeName": "genre", "SearchSchemaElementType": "HASH"}],
        });

        let mut document: Value = serde_json::from_str(PROVISIONED).unwrap();
        document["Table"]["VectorIndexes"] = json!([index]);
        let genre = json!({"AttributeName": "genre", "AttributeType": "S"});
        document["Table"]["AttributeDefinitions"]
            .as_array_mut()
            .unwrap()
            .push(genre.clone());
        let body = request(&parse_value(&document), "t");
        let expected = json!([{
            "IndexName": "by-likeness", "Dimensions": 3, "DistanceFunction": "COSINE", "Quantization": {"Bits": 8},
            "VectorAttribute": {"AttributeName": "likeness"},
            "SearchSchema": [{"AttributeName": "genre", "SearchSchemaElementType": "HASH"}],
        }]);

        assert_eq!(body["VectorIndexes"], expected);
        assert!(
            body["AttributeDefinitions"]
                .as_array()
                .unwrap()
                .contains(&genre)
        );
    }
}

mod comparisons {
    use super::*;

    #[test]
    fn a_different_key_is_reported_line_by_line() {
        let dump = parse(PROVISIONED);
        let one_key = with(
            PROVISIONED,
            "/Table/KeySchema",
            json!([{"AttributeName": "id", "KeyType": "HASH"}]),
        );

        let mismatch = differences(&dump, &one_key).key.unwrap();
        assert_eq!(
            mismatch.dump_lines(),
            ["partition key  id (S)", "sort key       year (N)"]
        );
        assert_eq!(
            mismatch.table_lines(),
            ["partition key  id (S)", "sort key       none"]
        );
        let other_type = with(
            PROVISIONED,
            "/Table/AttributeDefinitions/2/AttributeType",
            json!("N"),
        );

        let mismatch = differences(&dump, &other_type).key.unwrap();
        assert_eq!(
            mismatch.table_lines(),
            ["partition key  id (N)", "sort key       year (N)"]
        );
    }

    #[test]
    fn order_means_nothing() {
        let mut document: Value = serde_json::from_str(PROVISIONED).unwrap();
        let table = &mut document["Table"];
        let mut second = table["GlobalSecondaryIndexes"][0].clone();
        second["IndexName"] = json!("a-copy");
        table["GlobalSecondaryIndexes"]
            .as_array_mut()
            .unwrap()
            .push(second);
        let one = parse_value(&document);
        let table = &mut document["Table"];
        for list in [
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
        ] {
            table[list].as_array_mut().unwrap().reverse();
        }

        table["GlobalSecondaryIndexes"][0]["Projection"]["NonKeyAttributes"]
            .as_array_mut()
            .unwrap()
            .reverse();
        assert!(differences(&one, &parse_value(&document)).is_empty());
    }

    #[test]
    fn settings_are_described_in_words() {
        let dump = parse(ON_DEMAND);
        let mut document: Value = serde_json::from_str(ON_DEMAND).unwrap();
        let table = &mut document["Table"];
        table["BillingModeSummary"]["BillingMode"] = json!("PROVISIONED");
        table["ProvisionedThroughput"] = json!({"ReadCapacityUnits": 5, "WriteCapacityUnits": 6});

        for field in [
            "SSEDescription",
            "TableClassSummary",
            "StreamSpecification",
            "DeletionProtectionEnabled",
        ] {
            table[field] = Value::Null;
        }

        table["GlobalSecondaryIndexes"][0]["Projection"] = json!({"ProjectionType": "KEYS_ONLY"});
        let found = differences(&dump, &parse_value(&document));
        assert_eq!(found.key, None);
        let expected = [
            ["GSI by-tournament projection", "ALL", "KEYS_ONLY"],
            [
                "billing",
                "on-demand, at most 100 read / 50 write units per second",
                "provisioned 5 RCU / 6 WCU",
            ],
            ["table class", "STANDARD_INFREQUENT_ACCESS", "STANDARD"],
            [
                "encryption",
                "KMS key arn:aws:kms:us-east-1:123456789012:key/abc",
                "AWS-owned key",
            ],
            ["stream", "NEW_AND_OLD_IMAGES", "off"],
            ["deletion protection", "on", "off"],
        ];

        assert_eq!(texts(&found.settings), expected);
    }

    #[test]
    fn indexes_are_matched_by_name() {
        let dump = parse(PROVISIONED);
        let renamed = with(
            PROVISIONED,
            "/Table/GlobalSecondaryIndexes/0/IndexName",
            json!("by-year"),
        );

        let words = "director (S), year (N), projection INCLUDE (rating, title), 7 RCU / 6 WCU";
        let expected = [
            ["GSI by-director", words, "missing"],
            ["GSI by-year", "none", words],
        ];
        assert_eq!(texts(&differences(&dump, &renamed).settings), expected);

        let key = json!([{"AttributeName": "director", "KeyType": "HASH"}]);
        let mut document: Value = serde_json::from_str(PROVISIONED).unwrap();
        document["Table"]["GlobalSecondaryIndexes"][0]["KeySchema"] = key;
        document["Table"]["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["ReadCapacityUnits"] =
            json!(70);
        let expected = [
            [
                "GSI by-director key",
                "director (S), year (N)",
                "director (S)",
            ],
            [
                "GSI by-director throughput",
                "7 RCU / 6 WCU",
                "70 RCU / 6 WCU",
            ],
        ];

        assert_eq!(
            texts(&differences(&dump, &parse_value(&document)).settings),
            expected
        );
    }
}

mod descriptions {
    use super::*;

    #[test]
    fn a_table_reads_well() {
        assert_eq!(
            lines(&parse(PROVISIONED)),
            [
                "partition key: id (S)",
                "sort key: year (N)",
                "billing: provisioned 5 RCU / 4 WCU",
                "GSI by-director: director (S), year (N), projection INCLUDE (rating, title), 7 RCU / 6 WCU",
                "LSI by-poster: id (S), poster (B), projection KEYS_ONLY",
            ]
        );

        assert_eq!(
            lines(&parse(ON_DEMAND)),
            [
                "partition key: id (S)",
                "billing: on-demand, at most 100 read / 50 write units per second",
                "GSI by-tournament: tournament (S) + region (S), round (N) + level (S), projection ALL, \
                 at most 40 read units per second",
                "vector index by-likeness: 3 dimensions",
                "table class: STANDARD_INFREQUENT_ACCESS",
                "encryption: KMS key arn:aws:kms:us-east-1:123456789012:key/abc",
                "warm throughput: 30000 read / 4000 write units per second",
                "stream: NEW_AND_OLD_IMAGES",
                "deletion protection: on",
                "replicas: ap-south-1, eu-west-1",
            ]
        );
    }

    #[test]
    fn a_schema_knows_its_account_and_region() {
        let schema = parse(PROVISIONED);
        assert_eq!(
            (schema.table_name(), schema.account(), schema.region()),
            (Some("films"), Some("123456789012"), Some("eu-central-1"))
        );
        let description = schema.description();
        assert_eq!(
            (description.item_count, description.table_size_bytes),
            (Some(321), Some(123_456))
        );
        assert_eq!(parse(ON_DEMAND).account(), None);
    }

    #[test]
    fn a_table_is_ready_when_its_indexes_are() {
        assert!(parse(PROVISIONED).is_active());
        assert_eq!(parse(PROVISIONED).activity(), "table is ACTIVE");
        let mut document: Value = serde_json::from_str(PROVISIONED).unwrap();
        let index = |document: &mut Value, status: Value, backfilling: Value| {
            document["Table"]["GlobalSecondaryIndexes"][0]["IndexStatus"] = status;
            document["Table"]["GlobalSecondaryIndexes"][0]["Backfilling"] = backfilling;
            parse_value(document)
        };

        let filling = index(&mut document, json!("CREATING"), json!(true));
        assert!(!filling.is_active());
        assert_eq!(
            filling.activity(),
            "index by-director is CREATING (backfilling)"
        );
        assert!(!index(&mut document, json!("ACTIVE"), json!(true)).is_active());
        assert!(
            index(&mut document, Value::Null, json!(false)).is_active(),
            "engines leave the status out"
        );
        document["Table"]["TableStatus"] = json!("UPDATING");
        let updating = index(&mut document, json!("DELETING"), Value::Null);
        assert_eq!(
            updating.activity(),
            "table is UPDATING, index by-director is DELETING"
        );
    }

    #[test]
    fn a_table_is_ready_when_its_vector_indexes_are() {
        let table = |status: &str, backfilling: bool| {
            let mut document: Value = serde_json::from_str(PROVISIONED).unwrap();
            document["Table"]["VectorIndexes"] = json!([
                {"IndexName": "by-plot", "IndexStatus": status, "Backfilling": backfilling}
            ]);
            parse_value(&document)
        };

        assert!(table("ACTIVE", false).is_active());
        assert!(!table("ACTIVE", true).is_active());
        assert_eq!(
            table("CREATING", false).activity(),
            "index by-plot is CREATING"
        );
    }
}

mod any_table {
    use super::*;

    const TYPES: [&str; 3] = ["S", "N", "B"];
    const PROJECTIONS: [&str; 3] = ["ALL", "KEYS_ONLY", "INCLUDE"];

    fn units(read: u64, write: u64) -> Value {
        json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write, "NumberOfDecreasesToday": 0})
    }

    fn key(partition: usize, sort: usize) -> impl Strategy<Value = Value> {
        let names: Vec<_> = (0..10)
            .map(|number| format!("k.{number} \u{1f600}"))
            .collect();
        prop::sample::subsequence(names, partition + sort)
            .prop_shuffle()
            .prop_map(move |names| {
                let kind = |position| {
                    if position < partition {
                        "HASH"
                    } else {
                        "RANGE"
                    }
                };

                names
                    .iter()
                    .enumerate()
                    .map(|(n, name)| json!({"AttributeName": name, "KeyType": kind(n)}))
                    .collect()
            })
    }

    fn projection() -> impl Strategy<Value = Value> {
        (
            prop::sample::select(&PROJECTIONS[..]),
            prop::collection::hash_set("[a-z]{1,3}", 1..4),
        )
            .prop_map(|(kind, names)| match kind {
                "INCLUDE" => json!({"ProjectionType": kind, "NonKeyAttributes": names}),
                _ => json!({"ProjectionType": kind}),
            })
    }

    fn global_index() -> impl Strategy<Value = Value> {
        let index_key =
            (1..=4_usize, 0..=4_usize).prop_flat_map(|(partition, sort)| key(partition, sort));
        (index_key, projection(), 0..9_u64, 0..9_u64, -1..5_i64).prop_map(|(key, projection, read, write, maximum)| {
            json!({
                "KeySchema": key, "Projection": projection, "IndexStatus": "ACTIVE", "ItemCount": 3, "IndexSizeBytes": 9,
                "ProvisionedThroughput": units(read, write), "OnDemandThroughput": {"MaxReadRequestUnits": maximum},
            })
        })
    }

    fn local_index() -> impl Strategy<Value = Value> {
        (key(1, 1), projection())
            .prop_map(|(key, projection)| json!({"KeySchema": key, "Projection": projection}))
    }

    fn named(indexes: Vec<Value>, prefix: &str) -> Value {
        let name = |(position, mut index): (usize, Value)| {
            index["IndexName"] = json!(format!("{prefix}-{position}"));
            index
        };
        indexes.into_iter().enumerate().map(name).collect()
    }

    prop_compose! {
        fn table()(
            key in (0..=1_usize).prop_flat_map(|sort| key(1, sort)),
            types in prop::collection::vec(prop::sample::select(&TYPES[..]), 10),
            global in prop::collection::vec(global_index(), 0..4),
            local in prop::collection::vec(local_index(), 0..3),
            (read, write, maximum) in (0..9_u64, 0..9_u64, -1..5_i64),
            mode in prop::sample::select(vec![None, Some("PROVISIONED"), Some("PAY_PER_REQUEST")]),
            class in prop::sample::select(vec!["STANDARD", "STANDARD_INFREQUENT_ACCESS"]),
        ) -> Value {
            let definition = |(number, kind)| json!({"AttributeName": format!("k.{number} \u{1f600}"), "AttributeType": kind});
            json!({"Table": {
                "TableName": "any", "TableStatus": "ACTIVE", "KeySchema": key,
                "AttributeDefinitions": types.iter().enumerate().map(definition).collect::<Value>(),
                "GlobalSecondaryIndexes": named(global, "g"), "LocalSecondaryIndexes": named(local, "l"),
                "ProvisionedThroughput": units(read, write), "OnDemandThroughput": {"MaxWriteRequestUnits": maximum},
                "BillingModeSummary": mode.map(|mode| json!({"BillingMode": mode})),
                "TableClassSummary": {"TableClass": class},
            }})
        }
    }

    proptest! {
        #[test]
        fn a_recreated_table_has_no_differences(document in table()) {
            let schema = parse_value(&document);
            let created = schema.create_table_request("any").unwrap();
            let recreated = TableSchema::parse(&created.body).unwrap();
            prop_assert_eq!(differences(&schema, &recreated), super::super::Differences::default());
            prop_assert_eq!(recreated.key_schema().unwrap(), schema.key_schema().unwrap());
            prop_assert_eq!(&recreated.create_table_request("any").unwrap(), &created);
            prop_assert!(created.not_recreated.is_empty());
        }

        #[test]
        fn definitions_are_exactly_the_attributes_of_keys(document in table()) {
            let body = request(&parse_value(&document), "any");
            let names = |list: &Value| -> Vec<String> {
                list.as_array().unwrap().iter().map(|element| element["AttributeName"].as_str().unwrap().to_owned()).collect()
            };
            let mut used = names(&body["KeySchema"]);
            for kind in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
                for index in body[kind].as_array().into_iter().flatten() {
                    used.extend(names(&index["KeySchema"]));
                }
            }
            used.sort();
            used.dedup();
            let mut defined = names(&body["AttributeDefinitions"]);
            defined.sort();
            prop_assert_eq!(defined, used);
        }
    }
}
