use super::*;
use crate::item::{KeyAttribute, KeyType};

fn filter(text: &str) -> Selection {
    Selection::parse(&Expressions {
        filter_expression: Some(text),
        ..Expressions::default()
    })
    .unwrap()
}

fn projection(paths: &str, names: Option<&str>) -> Result<Selection> {
    Selection::parse(&Expressions {
        projection_expression: Some(paths),
        expression_attribute_names: names,
        ..Expressions::default()
    })
}

fn string_key(name: &str) -> KeySchema {
    KeySchema {
        partition: KeyAttribute {
            name: name.to_owned(),
            kind: KeyType::S,
        },
        sort: None,
    }
}

#[test]
fn names_and_literals_become_placeholders() {
    let selection = filter(
        r#"year >= 1990 AND (info.tags[0] = 'a "b"' or NOT begins_with(title, "Th")) and live = true"#,
    );
    assert_eq!(
        selection.request_members(),
        concat!(
            r##","FilterExpression":"#dd0 >= :dd0 AND (#dd1.#dd2[0] = :dd1 or NOT begins_with(#dd3, :dd2)) and #dd4 = :dd3","##,
            r##""ExpressionAttributeNames":{"#dd0":"year","#dd1":"info","#dd2":"tags","#dd3":"title","#dd4":"live"},"##,
            r#""ExpressionAttributeValues":{":dd0":{"N":"1990"},":dd1":{"S":"a \"b\""},":dd2":{"S":"Th"},":dd3":{"BOOL":true}}"#
        )
    );

    assert!(
        filter("a = -1.5e3")
            .request_members()
            .contains(r#"{"N":"-1.5e3"}"#)
    );
    assert!(
        filter("user-id = 1")
            .request_members()
            .contains(r##"{"#dd0":"user-id"}"##)
    );
}

#[test]
fn user_placeholders_are_kept() {
    let selection = Selection::parse(&Expressions {
        filter_expression: Some("#y > :from"),
        projection_expression: None,
        expression_attribute_names: Some(r##"{"#y":"year"}"##),
        expression_attribute_values: Some(r#"{":from":{"N":"1990.0"}}"#),
    })
    .unwrap();

    assert_eq!(
        selection.request_members(),
        r##","FilterExpression":"#y > :from","ExpressionAttributeNames":{"#y":"year"},"ExpressionAttributeValues":{":from":{"N":"1990.0"}}"##
    );
}

#[test]
fn a_projection_always_has_the_key() {
    let key = KeySchema {
        partition: KeyAttribute {
            name: "id".to_owned(),
            kind: KeyType::S,
        },
        sort: Some(KeyAttribute {
            name: "at".to_owned(),
            kind: KeyType::N,
        }),
    };

    let selection = projection("title, info.rating[1], id", None)
        .unwrap()
        .with_key(&key);
    assert_eq!(
        selection.request_members(),
        r##","ProjectionExpression":"#dd0, #dd1.#dd2[1], #dd3, #dd4","ExpressionAttributeNames":{"#dd0":"title","#dd1":"info","#dd2":"rating","#dd3":"id","#dd4":"at"}"##
    );
}

#[test]
fn a_key_with_any_name_is_projected_once() {
    for (key, paths, names, expected) in [
        // The path `b c` inside `a` is not the attribute `a.b c`.
        ("a.b c", "a.b c", None, r##""#dd0.#dd1, #dd2""##),
        ("#s", "title", None, r##""#dd0, #dd1""##),
        // `#s` is a placeholder for another attribute.
        ("#s", "#s", Some(r##"{"#s":"state"}"##), r##""#s, #dd1""##),
        ("id", "#i", Some(r##"{"#i":"id"}"##), r##""#i""##),
        ("id", "title,id.x,id[0]", None, r##""#dd0, #dd1""##),
        ("id", "id", None, r##""#dd0""##),
    ] {
        let selection = projection(paths, names).unwrap().with_key(&string_key(key));
        let members = selection.request_members();
        let expected = format!(r#","ProjectionExpression":{expected},"#);
        assert!(members.starts_with(&expected), "{key}, {paths}: {members}");

        // The last path is the key, with or without a placeholder.
        let placeholder = expected
            .trim_end_matches("\",")
            .rsplit([' ', '"'])
            .next()
            .unwrap();
        let name = selection.names.get(placeholder).map(String::as_str);
        assert_eq!(name, Some(key), "{members}");
    }
}

#[test]
fn placeholders_are_part_of_the_identity_of_a_projection() {
    let identity = |names| projection("#t", Some(names)).unwrap().projection_identity();
    assert_ne!(
        identity(r##"{"#t":"title"}"##),
        identity(r##"{"#t":"year"}"##)
    );
    assert_eq!(
        projection("title", None).unwrap().projection_identity(),
        Some("title".to_owned())
    );
}

#[test]
fn invalid_expressions_are_rejected() {
    let with = |filter: &str, names: Option<&str>, values: Option<&str>| {
        Selection::parse(&Expressions {
            filter_expression: Some(filter),
            projection_expression: None,
            expression_attribute_names: names,
            expression_attribute_values: values,
        })
        .unwrap_err()
        .to_string()
    };

    assert!(with("a = 'b", None, None).contains("column 5"));
    assert!(with("a = :b", None, Some("[1]")).contains(VALUES.name()));
    assert!(with("a = :b", Some(r##"{"#a":1}"##), None).contains(NAMES.name()));
    assert!(with("a = :b", Some(r#"{"a":"b"}"#), None).contains("`a` is not a placeholder"));
    assert!(with("a = :b", None, Some(r#"{"":{"S":"b"}}"#)).contains("`` is not a placeholder"));
    assert!(with("a = :b", None, Some(r#"{":dd0":{"S":"b"}}"#)).contains("reserved: `:dd0`"));

    for paths in ["", "a,,b", "a..b", "[0]"] {
        assert!(projection(paths, None).is_err(), "{paths}");
    }
}
