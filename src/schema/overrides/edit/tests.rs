use proptest::prelude::*;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind};
use crate::item::KeyType;
use crate::schema::{
    Capacity, Encryption, OverriddenSchema, Overrides, OverridesFormat, SettingChoice, TableSchema,
    differences,
};

const FILMS: &str = include_str!("../../samples/provisioned.json");
const MATCHES: &str = include_str!("../../samples/on_demand.json");
const MUSIC: &str = include_str!("../../samples/everything.json");

fn parse(document: &str) -> TableSchema {
    TableSchema::parse(document.as_bytes()).unwrap()
}

fn overrides(toml: &str) -> Overrides {
    Overrides::parse(toml, OverridesFormat::Toml).unwrap()
}

fn overridden(document: &str, toml: &str) -> OverriddenSchema {
    parse(document).overridden(&overrides(toml)).unwrap()
}

fn refused(document: &str, toml: &str) -> Error {
    parse(document).overridden(&overrides(toml)).unwrap_err()
}

fn request(schema: &TableSchema) -> Value {
    serde_json::from_slice(&schema.create_table_request("t").unwrap().body).unwrap()
}

fn units(read: u64, write: u64) -> Value {
    json!({"ReadCapacityUnits": read, "WriteCapacityUnits": write})
}

fn names(request: &Value, field: &str) -> Vec<String> {
    let all = request[field].as_array().into_iter().flatten();
    all.map(|one| {
        one.get("IndexName")
            .unwrap_or(&one["AttributeName"])
            .as_str()
            .unwrap()
            .to_owned()
    })
    .collect()
}

#[test]
fn no_overrides_change_nothing() {
    for document in [FILMS, MATCHES, MUSIC] {
        let OverriddenSchema { schema, notes, .. } = overridden(document, "");
        assert_eq!(schema.to_document(), parse(document).to_document());
        assert!(notes.is_empty());
    }
}

#[test]
fn what_is_not_overridden_stays_verbatim() {
    let document = MUSIC.replacen(
        "{\"AttributeDefinitions\"",
        "{\"Future\":{\"b\":1.00, \"a\":1E400},\"AttributeDefinitions\"",
        1,
    );

    let changed = overridden(&document, "read-capacity = 9").schema;
    let text = String::from_utf8(changed.to_document()).unwrap();
    assert!(text.contains("\"Future\":{\"b\":1.00, \"a\":1E400}"));
    assert_eq!(
        changed
            .section(crate::schema::settings::tags::SECTION)
            .unwrap()
            .get(),
        parse(MUSIC)
            .section(crate::schema::settings::tags::SECTION)
            .unwrap()
            .get()
    );
}

mod billing {
    use super::*;

    #[test]
    fn capacity_applies_to_table_and_indexes() {
        for (document, toml, table, index) in [
            (
                FILMS,
                "read-capacity = 3\nwrite-capacity = 3",
                units(3, 3),
                units(3, 3),
            ),
            // Values without an override stay.
            (FILMS, "read-capacity = 3", units(3, 4), units(3, 6)),
            (FILMS, "write-capacity = 2", units(5, 2), units(7, 2)),
            (
                FILMS,
                "index-capacity = { by-director = \"1:2\" }",
                units(5, 4),
                units(1, 2),
            ),
            (
                FILMS,
                "read-capacity = 3\nindex-capacity = { by-director = \"1:2\" }",
                units(3, 4),
                units(1, 2),
            ),
            (
                FILMS,
                "billing-mode = \"provisioned\"",
                units(5, 4),
                units(7, 6),
            ),
            // An on-demand table has no other figure.
            (MATCHES, "write-capacity = 2", units(2, 2), units(2, 2)),
            (
                MATCHES,
                "read-capacity = 1\nwrite-capacity = 2",
                units(1, 2),
                units(1, 2),
            ),
            (
                MATCHES,
                "billing-mode = \"provisioned\"\nread-capacity = 1\nindex-capacity = { by-tournament = \"8:9\" }",
                units(1, 1),
                units(8, 9),
            ),
        ] {
            let request = request(&overridden(document, toml).schema);
            assert_eq!(request["BillingMode"], "PROVISIONED", "{toml}");
            assert_eq!(request["ProvisionedThroughput"], table, "{toml}");
            assert_eq!(
                request["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"], index,
                "{toml}"
            );
            assert!(
                !request.to_string().contains("OnDemandThroughput"),
                "{toml}"
            );
        }
    }

    #[test]
    fn on_demand_has_maximums_and_no_capacity() {
        for (document, toml, table, index) in [
            (
                FILMS,
                "billing-mode = \"on-demand\"",
                Value::Null,
                Value::Null,
            ),
            (
                FILMS,
                "billing-mode = \"on-demand\"\non-demand-max-read = 9",
                json!({"MaxReadRequestUnits": 9}),
                json!({"MaxReadRequestUnits": 9}),
            ),
            (
                MATCHES,
                "on-demand-max-write = 5",
                json!({"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 5}),
                json!({"MaxReadRequestUnits": 40, "MaxWriteRequestUnits": 5}),
            ),
        ] {
            let request = request(&overridden(document, toml).schema);
            assert_eq!(request["BillingMode"], "PAY_PER_REQUEST", "{toml}");
            assert_eq!(request["OnDemandThroughput"], table, "{toml}");
            assert_eq!(
                request["GlobalSecondaryIndexes"][0]["OnDemandThroughput"], index,
                "{toml}"
            );
            assert!(
                !request.to_string().contains("ProvisionedThroughput"),
                "{toml}"
            );
        }
    }

    #[test]
    fn changes_are_noted_and_auto_scaling_is_removed() {
        let OverriddenSchema { schema, notes, .. } =
            overridden(MUSIC, "read-capacity = 1\nwrite-capacity = 1");
        assert!(!schema.has_auto_scaling());
        assert_eq!(
            notes,
            [
                "auto scaling not restored: its limits belong to the dump's capacity",
                "GSI by-genre throughput: 1 RCU / 1 WCU instead of 7 RCU / 6 WCU",
                "billing: provisioned 1 RCU / 1 WCU instead of provisioned 5 RCU / 4 WCU",
            ]
        );

        let plan = schema.settings_plan("music", &SettingChoice::default(), true, None);
        assert!(
            !plan
                .after
                .iter()
                .any(|call| call.what.contains("auto scaling"))
        );

        let kept = overridden(MUSIC, "billing-mode = \"provisioned\"");
        assert!(kept.schema.has_auto_scaling() && kept.notes.is_empty());
    }

    #[test]
    fn contradictions_name_the_flag() {
        for (document, toml, what) in [
            (FILMS, "read-capacity = 0", "`read_capacity` 0"),
            (
                FILMS,
                "billing-mode = \"on-demand\"\nwrite-capacity = 1",
                "`write_capacity` and `billing_mode` on-demand",
            ),
            (
                FILMS,
                "on-demand-max-read = 1",
                "`on_demand_max_read` is for on-demand",
            ),
            (
                MATCHES,
                "on-demand-max-write = 1\nread-capacity = 1",
                "`on_demand_max_write` is for on-demand",
            ),
            (
                MATCHES,
                "billing-mode = \"provisioned\"",
                "`billing_mode` provisioned needs",
            ),
            (
                MATCHES,
                "index-capacity = { by-tournament = \"1:1\" }",
                "`index_capacity` needs",
            ),
            (
                FILMS,
                "index-capacity = { by-direktor = \"1:1\" }",
                "no index `by-direktor`",
            ),
            (
                FILMS,
                "index-capacity = { by-poster = \"1:1\" }",
                "by-poster is not a GSI",
            ),
        ] {
            let error = refused(document, toml);
            assert_eq!(error.kind(), ErrorKind::Usage, "{toml}");
            assert!(error.to_string().contains(what), "{toml}: {error}");
        }

        let zero = Overrides {
            index_capacity: [("by-director".to_owned(), Capacity { read: 0, write: 1 })].into(),
            ..Overrides::default()
        };
        assert_eq!(
            parse(FILMS).overridden(&zero).unwrap_err().kind(),
            ErrorKind::Usage
        );
        let huge = Overrides {
            on_demand_max_read: Some(u64::MAX),
            ..Overrides::default()
        };
        assert_eq!(
            parse(MATCHES).overridden(&huge).unwrap_err().kind(),
            ErrorKind::Usage
        );
    }
}

mod indexes {
    use super::*;

    #[test]
    fn dropped_indexes_take_their_attributes_along() {
        for (toml, global, local, defined) in [
            (
                "drop-index = \"by-director\"",
                vec![],
                vec!["by-poster"],
                vec!["id", "year", "poster"],
            ),
            ("drop-index = \"all\"", vec![], vec![], vec!["id", "year"]),
            (
                "only-index = \"by-director\"",
                vec!["by-director"],
                vec![],
                vec!["id", "year", "director"],
            ),
        ] {
            let OverriddenSchema { schema, notes, .. } = overridden(FILMS, toml);
            let request = request(&schema);
            assert_eq!(names(&request, "GlobalSecondaryIndexes"), global, "{toml}");
            assert_eq!(names(&request, "LocalSecondaryIndexes"), local, "{toml}");
            assert_eq!(names(&request, "AttributeDefinitions"), defined, "{toml}");
            assert_eq!(
                schema.description().attribute_definitions.len(),
                defined.len()
            );
            assert_eq!(notes.len(), 2 - global.len() - local.len(), "{notes:?}");
        }

        let notes = overridden(FILMS, "drop-index = \"by-director\"").notes;
        assert_eq!(notes, ["GSI by-director dropped: by `drop_indexes`"]);
        let notes = overridden(MATCHES, "only-index = \"by-tournament\"").notes;
        assert_eq!(
            notes,
            ["vector index by-likeness dropped: not among `only_indexes`"]
        );
    }

    #[test]
    fn an_unknown_index_is_answered_with_near_names() {
        for (toml, flag) in [
            ("drop-index = \"by-dircetor\"", "`drop_indexes`"),
            ("only-index = \"by-dircetor\"", "`only_indexes`"),
        ] {
            let error = refused(FILMS, toml);
            assert_eq!(
                error.to_string(),
                format!("{flag}: the table has no index `by-dircetor`")
            );
            assert!(error.hint().unwrap().contains("by-director"), "{error:?}");
        }

        for toml in [
            "drop-index = \"by-poster\"\nonly-index = \"by-poster\"",
            "drop-index = \"all\"\nonly-index = \"by-poster\"",
        ] {
            assert_eq!(refused(FILMS, toml).kind(), ErrorKind::Usage);
        }
    }
}

mod key {
    use super::*;

    #[test]
    fn a_new_key_brings_its_definitions_and_drops_what_hung_on_the_old() {
        let OverriddenSchema { schema, notes, .. } =
            overridden(FILMS, "key-schema = \"director,made:N\"");
        let key = schema.key_schema().unwrap();
        assert_eq!(
            (key.partition.name.as_str(), key.partition.kind),
            ("director", KeyType::S)
        );
        let sort = key.sort.unwrap();
        assert_eq!((sort.name.as_str(), sort.kind), ("made", KeyType::N));
        let request = request(&schema);
        assert_eq!(
            names(&request, "AttributeDefinitions"),
            ["director", "made", "year"]
        );
        assert!(request.get("LocalSecondaryIndexes").is_none());
        assert_eq!(
            notes,
            [
                "LSI by-poster dropped: depends on the old partition key id",
                "key director (S), made (N) instead of id (S), year (N)",
            ]
        );
    }

    #[test]
    fn an_lsi_stays_with_its_partition_key_and_needs_a_sort_key() {
        let other_sort = overridden(FILMS, "key-schema = \"id:S, title:S\"").schema;
        assert_eq!(
            names(&request(&other_sort), "LocalSecondaryIndexes"),
            ["by-poster"]
        );
        let OverriddenSchema { schema, notes, .. } = overridden(FILMS, "key-schema = \"id\"");
        assert!(names(&request(&schema), "LocalSecondaryIndexes").is_empty());
        assert!(notes[0].contains("an LSI requires a sort key"), "{notes:?}");
        let same = overridden(FILMS, "key-schema = \"id:S,year:N\"");
        assert!(differences(&parse(FILMS), &same.schema).is_empty() && same.notes.is_empty());
    }

    #[test]
    fn another_type_is_another_type_everywhere() {
        let OverriddenSchema { schema, notes, .. } =
            overridden(FILMS, "key-schema = \"id,year:S\"");
        let definitions = &schema.description().attribute_definitions;
        let year = definitions
            .iter()
            .find(|known| known.attribute_name == "year")
            .unwrap();
        assert_eq!(year.attribute_type, "S");
        assert!(
            notes.contains(
                &"GSI by-director key: director (S), year (S) instead of director (S), year (N)"
                    .to_owned()
            )
        );
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        for (key, what) in [
            ("", "name is missing"),
            ("a:S,", "name is missing"),
            (":S", "does not end with a type"),
            ("a:X", "does not end with a type"),
            ("unknown", "does not end with a type"),
            ("a:S,a:N", "`a` is given twice"),
            ("a:S,b:S,c:S", "one partition key"),
        ] {
            let error = refused(FILMS, &format!("key-schema = \"{key}\""));
            assert_eq!(error.kind(), ErrorKind::Usage);
            assert!(
                error.to_string().starts_with("`key_schema`: ") && error.to_string().contains(what),
                "{key}: {error}"
            );
        }

        let colons = overridden(FILMS, "key-schema = \"a:b:S\"").schema;
        assert_eq!(colons.key_schema().unwrap().partition.name, "a:b");
    }
}

mod others {
    use super::*;

    #[test]
    fn a_key_that_is_named_is_used_anywhere() {
        let OverriddenSchema { schema, notes, .. } = overridden(MUSIC, "kms-key = \"alias/films\"");
        assert_eq!(
            schema.description().encryption(),
            Encryption::Kms(Some("alias/films"))
        );
        assert_eq!(
            request(&schema)["SSESpecification"]["KMSMasterKeyId"],
            "alias/films"
        );
        assert_eq!(notes, ["encryption with KMS key alias/films"]);
        let plan = schema.settings_plan("t", &SettingChoice::default(), false, None);
        assert!(
            !plan
                .skipped
                .iter()
                .any(|skipped| skipped.what.contains("KMS"))
        );
    }

    #[test]
    fn class_and_tags_are_replaced() {
        let OverriddenSchema { schema, notes, .. } = overridden(
            MUSIC,
            "table-class = \"standard\"\ntag = { team = \"b\", new = \"\" }",
        );
        let body = request(&schema);
        assert!(body.get("TableClass").is_none());
        let tag = |key: &str, value: &str| json!({"Key": key, "Value": value});
        assert_eq!(
            body["Tags"],
            json!([tag("cost", "42"), tag("new", ""), tag("team", "b")])
        );
        assert_eq!(
            notes,
            [
                "table class: STANDARD instead of STANDARD_INFREQUENT_ACCESS",
                "tags: new=, team=b instead of team=films",
            ]
        );

        let none = overridden(MUSIC, "no-tags = true").schema;
        assert!(request(&none).get("Tags").is_none());
        let only = overridden(MUSIC, "no-tags = true\ntag = { a = \"b\" }").schema;
        assert_eq!(request(&only)["Tags"], json!([tag("a", "b")]));
        let class = overridden(FILMS, "table-class = \"standard-infrequent-access\"").schema;
        assert_eq!(request(&class)["TableClass"], "STANDARD_INFREQUENT_ACCESS");
        assert_eq!(
            refused(MUSIC, "tag = { \"aws:a\" = \"b\" }").kind(),
            ErrorKind::Usage
        );
    }
}

proptest! {
    #[test]
    fn an_overridden_schema_is_one(
        read in prop::option::of(0..9_u64), write in prop::option::of(0..9_u64), on_demand: bool, class: bool,
        key in prop::option::of("[a-c:,SN]{0,8}"), drop in prop::collection::vec("all|by-director|by-genre|other", 0..2),
    ) {
        for document in [FILMS, MATCHES, MUSIC] {
            let overrides = Overrides {
                billing_mode: on_demand.then_some(crate::schema::BillingMode::OnDemand),
                read_capacity: read,
                write_capacity: write,
                table_class: class.then_some(crate::schema::TableClass::Standard),
                key_schema: key.clone(),
                drop_indexes: drop.clone(),
                ..Overrides::default()
            };
            match parse(document).overridden(&overrides) {
                Ok(OverriddenSchema { schema, .. }) => {
                    let read_back = TableSchema::parse(&schema.to_document()).unwrap();
                    prop_assert!(differences(&schema, &read_back).is_empty());
                    let created = schema.create_table_request("t").unwrap();
                    prop_assert!(differences(&read_back, &TableSchema::parse(&created.body).unwrap()).key.is_none());
                    prop_assert!(schema.overridden(&overrides).is_ok_and(|again| again.notes.is_empty()) || !drop.is_empty());
                }
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Usage),
            }
        }
    }
}
