use super::*;
use crate::error::ErrorKind;
use crate::item::testing::{Style, item, render};
use proptest::prelude::*;
use std::time::Duration;

/// Runs `run` on a thread with the stack size of the real ones.
fn on_large_stack<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, run)
            .unwrap()
            .join()
            .unwrap()
    })
}

fn outcome(code: &str, item: &str) -> Outcome {
    let filter =
        Filter::compile("--transform", code).unwrap_or_else(|error| panic!("{code}: {error:?}"));
    outcome_of(&filter, item)
}

fn outcome_of(filter: &Filter, item: &str) -> Outcome {
    let item = Bytes::from(item.to_owned());
    on_large_stack(|| filter.worker().apply(&item, &item))
}

fn changed(code: &str, item: &str) -> String {
    match outcome(code, item) {
        Outcome::Changed(item) => String::from_utf8(item.to_vec()).unwrap(),
        other => panic!("{code}: {other:?}"),
    }
}

fn rejected(code: &str, item: &str) -> String {
    match outcome(code, item) {
        Outcome::Rejected(reason) => reason.to_string(),
        other => panic!("{code}: {other:?}"),
    }
}

const ITEM: &str = r#"{"pk":{"S":"a"},"type":{"S":"film"},"timestamp":{"N":"1700000000000000000000000000000000001"},"old_sk":{"S":"x"},"at":{"M":{"city":{"S":"Rom"},"list":{"L":[{"N":"1"},{"M":{"a":{"BOOL":true}}}]}}}}"#;

#[test]
fn the_standing_example() {
    let code = r#".new_sk = S("\(.type | str)#\(.timestamp | str)") | drop("old_sk")"#;
    let expected = ITEM.replace(r#""old_sk":{"S":"x"},"#, "").replace(
        "}]}}}}",
        r#"}]}}},"new_sk":{"S":"film#1700000000000000000000000000000000001"}}"#,
    );
    assert_eq!(changed(code, ITEM), expected);
}

#[test]
fn what_is_not_changed_keeps_its_bytes() {
    let odd =
        "{ \"pk\" : {\"S\":\"\\u0061\\/\"} , \"n\":{\"N\":\"1.50\"}, \"new\":{\"X\":[1.0,1e2]}}";
    for code in [
        ".",
        "select(.pk | str == \"a/\")",
        ".n = .n",
        ". + {}",
        "with_entries(.)",
        "rename(\"a\"; \"b\")",
    ] {
        assert_eq!(outcome(code, odd), Outcome::Unchanged, "{code}");
    }

    assert_eq!(outcome("empty", odd), Outcome::Skipped);
    assert_eq!(outcome("select(.pk | str == \"b\")", odd), Outcome::Skipped);
    let Outcome::Several(copies) = outcome("., (.pk = S(\"b\"))", odd) else {
        panic!("several")
    };

    assert_eq!(copies[0], odd);
    assert_eq!(
        copies[1],
        r#"{"pk":{"S":"b"},"n":{"N":"1.50"},"new":{"X":[1.0,1e2]}}"#
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn words_of_the_prelude() {
    for (code, expected) in [
        (r#"{pk, a: S("x")}"#, r#"{"pk":{"S":"a"},"a":{"S":"x"}}"#),
        (
            r#"{pk, a: N(1), b: N("1.50"), c: N(0.5)}"#,
            r#"{"pk":{"S":"a"},"a":{"N":"1"},"b":{"N":"1.50"},"c":{"N":"0.5"}}"#,
        ),
        (
            r#"{pk, a: BOOL(1 == 1), b: NULL, c: B("abc" | @base64)}"#,
            r#"{"pk":{"S":"a"},"a":{"BOOL":true},"b":{"NULL":true},"c":{"B":"YWJj"}}"#,
        ),
        (
            r#"{pk, a: L([S("x")]), b: M({c: N(2)})}"#,
            r#"{"pk":{"S":"a"},"a":{"L":[{"S":"x"}]},"b":{"M":{"c":{"N":"2"}}}}"#,
        ),
        (
            r#"{pk, a: SS(["x","x","y"]), b: NS([1,2]), c: BS(["YQ=="])}"#,
            r#"{"pk":{"S":"a"},"a":{"SS":["x","y"]},"b":{"NS":["1","2"]},"c":{"BS":["YQ=="]}}"#,
        ),
        (
            r#"{pk, a: ({x: [1, "y", null, true]} | typed)}"#,
            r#"{"pk":{"S":"a"},"a":{"M":{"x":{"L":[{"N":"1"},{"S":"y"},{"NULL":true},{"BOOL":true}]}}}}"#,
        ),
        (
            r"{pk, a: S(.at | plain | tojson)}",
            r#"{"pk":{"S":"a"},"a":{"S":"{\"city\":\"Rom\",\"list\":[1,{\"a\":true}]}"}}"#,
        ),
        (
            r#"{pk, at} | put("at.city"; S("Bari"))"#,
            r#"{"pk":{"S":"a"},"at":{"M":{"city":{"S":"Bari"},"list":{"L":[{"N":"1"},{"M":{"a":{"BOOL":true}}}]}}}}"#,
        ),
        (
            r#"{pk, type} | move("type"; "meta.kind.name")"#,
            r#"{"pk":{"S":"a"},"meta":{"M":{"kind":{"M":{"name":{"S":"film"}}}}}}"#,
        ),
        (
            r#"{pk, at} | move("at.city"; ["city.name"]) | drop("at")"#,
            r#"{"pk":{"S":"a"},"city.name":{"S":"Rom"}}"#,
        ),
        (
            r#"{pk, type} | rename("type"; "kind")"#,
            r#"{"pk":{"S":"a"},"kind":{"S":"film"}}"#,
        ),
        (
            r#"{pk, type, at} | drop("type", "at", "nothing", "no.thing")"#,
            r#"{"pk":{"S":"a"}}"#,
        ),
        (
            r#"{pk, a: S(get(["at", "list", 1, "a"]) | bool)}"#,
            r#"{"pk":{"S":"a"},"a":{"S":"true"}}"#,
        ),
        (
            r#"{pk, a: BOOL(has_attr("at.city")), b: BOOL(has_attr("at.x.y"))}"#,
            r#"{"pk":{"S":"a"},"a":{"BOOL":true},"b":{"BOOL":false}}"#,
        ),
        (
            r#"{pk, a: N({N: "4"} | num + 1)}"#,
            r#"{"pk":{"S":"a"},"a":{"N":"5"}}"#,
        ),
    ] {
        assert_eq!(changed(code, ITEM), expected, "{code}");
    }
}

#[test]
fn what_dynamodb_would_refuse_is_rejected_with_its_reason() {
    for (code, reason) in [
        (r#"error("no thanks")"#, "no thanks"),
        (r"error({code: 5})", r#"{"code":5}"#),
        ("5", "it gives a number, not an item"),
        ("., [.]", "it gives an array, not an item"),
        (
            ".a = \"x\"",
            r#"attribute "a": not an object with one type tag, like {"S":"…"}"#,
        ),
        (".a = {X: \"x\"}", r#"attribute "a": unknown type "X""#),
        (".a = {S: 1}", r#"attribute "a": not a value of type S"#),
        (".a = {N: \"x\"}", r#"attribute "a": not a decimal number"#),
        (
            ".a = {M: {b: {N: (\"1\" * 39)}}}",
            r#"attribute "a.b": a number of more than 38 digits"#,
        ),
        (
            ".a = N(\"1e126\")",
            r#"attribute "a": a number too large or too small for DynamoDB"#,
        ),
        (
            ".a = N(\"1e-131\")",
            r#"attribute "a": a number too large or too small for DynamoDB"#,
        ),
        (".a = N(nan)", r#"attribute "a": not a decimal number"#),
        (".a = {SS: []}", r#"attribute "a": a set without elements"#),
        (
            ".a = {NS: [\"1\", \"1.0\"]}",
            r#"attribute "a": a set contains an element twice"#,
        ),
        (".a = {B: \"%\"}", r#"attribute "a": not base64"#),
        (
            ".a = (reduce range(33) as $i (S(\"\"); L([.])))",
            r#"attribute "a": maps and lists nested deeper than DynamoDB allows"#,
        ),
        (
            ".a = S(.pk | tojson | tobytes)",
            "bytes instead of a string; binary values are base64: B(… | @base64)",
        ),
        (
            ".missing | str",
            "expected a value of type S or N, found nothing",
        ),
        ("S(.at | str)", "expected a value of type S or N, found M"),
        (
            r#"move("pk"; "type")"#,
            r#"cannot move "pk": there is a "type" already"#,
        ),
        ("range(1000000) as $i | .", "it gives more than 10000 items"),
    ] {
        assert_eq!(rejected(code, ITEM), reason, "{code}");
    }

    assert!(rejected(".", "{\"a\":5}").starts_with("not DynamoDB JSON: attribute"));
    assert!(rejected(".pk + 1", ITEM).starts_with("cannot calculate"));
    assert_eq!(
        rejected("error(\"x\" * 1000)", ITEM).chars().count(),
        MESSAGE_CHARS + 1
    );
}

#[test]
fn the_largest_and_smallest_numbers_pass() {
    for number in [
        "9.9999999999999999999999999999999999999E+125",
        "-1E-130",
        "0",
        "0e500",
        "1000000000000000000000000000000000000000000",
    ] {
        let expected = format!(r#"{{"pk":{{"S":"a"}},"n":{{"N":"{number}"}}}}"#);
        assert_eq!(
            changed(&format!(".n = N(\"{number}\")"), r#"{"pk":{"S":"a"}}"#),
            expected
        );
    }
}

#[test]
fn a_filter_that_does_not_end_is_an_error_of_one_item() {
    for code in [
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f(g): g | f(g); f(.)",
        "def f: def g: f; g + 1; f",
        "[recurse(.)]",
        "until(false; .)",
        "[repeat(1)]",
        "[range(0; infinite)]",
        "range(0; infinite) | select(false)",
        "reduce range(0; infinite) as $i (0; . + 1)",
        "foreach repeat(1) as $i (0; 1; empty)",
        "reduce range(100) as $i (\"x\"; . + .)",
        "last(range(0; infinite))",
        "def f: .. |= f; f",
        "path(def f: 1 as $x | .pk, f; f) | empty",
    ] {
        let Filter(program) = Filter::compile("--transform", code).unwrap();
        let item = Bytes::from_static(ITEM.as_bytes());
        let run = || {
            FilterWorker {
                program: &program,
                guard: Guard::with_time_limit(Duration::from_millis(300)),
            }
            .apply(&item, &item)
        };

        let Outcome::Rejected(reason) = on_large_stack(run) else {
            panic!("{code}")
        };

        let reason = reason.to_string();
        let expected = [
            "it does not terminate: stopped after",
            "it recurses too deeply",
            "it creates a string of more than",
        ];

        assert!(
            expected.iter().any(|expected| reason.contains(expected)),
            "{code}: {reason}"
        );
    }

    // Dropping a value that was nested in a loop must not overflow the stack.
    assert!(
        rejected(
            "reduce range(600000) as $i (0; [.]) | error(\"done\")",
            ITEM
        )
        .contains("done")
    );
}

#[test]
fn nothing_outside_the_item_can_be_reached() {
    for code in [
        "env",
        "$ENV",
        "$ENV.PATH",
        "input",
        "inputs",
        "input_filename",
        "halt",
        "halt_error",
        "debug",
        "stderr",
        "import \"a\" as a; .",
    ] {
        let error = Filter::compile("--transform", code)
            .err()
            .unwrap_or_else(|| panic!("{code}"));
        assert_eq!(error.kind(), ErrorKind::Usage, "{code}");
    }

    let Outcome::Several(items) = outcome("{pk, a: N(now)}, {pk, a: N(now)}", ITEM) else {
        panic!("two")
    };

    assert_eq!(items[0], items[1]);
}

#[test]
fn faults_are_shown_where_they_are() {
    for (code, what, caret) in [
        (
            ".a |= (",
            "line 1, column 8: expected a closing parenthesis",
            7,
        ),
        (".a = )", "line 1, column 6: expected", 5),
        (
            ".a = foo(1)",
            "line 1, column 6: undefined filter `foo` with 1 argument",
            5,
        ),
        (".a = $x", "line 1, column 6: undefined variable `$x`", 5),
        (".a\n| .b = é", "line 2, column 8: expected", 7),
        ("if . then 1", "expected", 11),
        ("", "line 1, column 1: expected a term before the end", 0),
        ("\"abc", "line 1, column 5: expected a closing quote", 4),
    ] {
        let error = Filter::compile("--transform", code)
            .err()
            .unwrap_or_else(|| panic!("{code}"));
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(what), "{code}: {error}");
        assert_eq!(
            error.details()[1],
            format!("{}^", " ".repeat(caret)),
            "{code}: {:?}",
            error.details()
        );
    }

    let long = format!("{}| foo", ".|".repeat(100));
    let error = Filter::compile("--transform", &long).err().expect("no foo");
    assert!(
        error.details()[0].chars().count() <= 101,
        "{:?}",
        error.details()
    );
}

#[test]
fn a_program_as_deep_as_it_is_long_is_an_error_or_works() {
    for code in [
        "(".repeat(16_000) + "." + &")".repeat(16_000),
        ".|".repeat(16_000) + ".",
        "[".repeat(32_000),
        "-".repeat(32_000) + "1",
    ] {
        let _ = Filter::compile("--transform", &code).is_ok();
    }

    assert!(Filter::compile("--transform", &" ".repeat(100_000)).is_err());
}

#[test]
fn conditions() {
    let holds = |code: &str| {
        let condition = Condition::compile("--where", code).unwrap();
        on_large_stack(|| {
            condition
                .evaluator()
                .holds(&document::parse(ITEM.as_bytes()).unwrap())
        })
    };

    for (code, expected) in [
        (".type | str == \"film\"", Ok(true)),
        (".timestamp | num > 5", Ok(true)),
        (".none", Ok(false)),
        ("empty", Ok(false)),
        ("0", Ok(true)),
        ("false, true", Ok(false)),
        ("error(\"x\")", Err(RejectReason::External("x".to_owned()))),
    ] {
        assert_eq!(holds(code), expected, "{code}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// All ten types, extreme values, in any JSON formatting.
    #[test]
    fn identity_keeps_the_very_bytes(item in item(), seed in any::<u64>()) {
        for style in [Style::Compact, Style::Random(seed)] {
            let text = Bytes::from(render(&item, style));
            let filter = Filter::compile("--transform", ".").unwrap();
            prop_assert_eq!(on_large_stack(|| filter.worker().apply(&text, &text)), Outcome::Unchanged);
        }
    }

    /// An item that is only reformatted has an equal output.
    #[test]
    fn other_attributes_keep_their_values(item in item(), seed in any::<u64>()) {
        let text = Bytes::from(render(&item, Style::Random(seed)));
        // The generator repeats elements of sets, which DynamoDB refuses.
        prop_assume!(check_item(&text, &text).is_ok());
        let filter = Filter::compile("--transform", ".\"\\u0001new\" = {BOOL: true}").unwrap();
        let Outcome::Changed(changed) = on_large_stack(|| filter.worker().apply(&text, &text)) else {
            return Err(TestCaseError::fail("not changed"));
        };
        let mut expected = item;
        expected.insert("\u{1}new".to_owned(), crate::item::AttributeValue::Bool(true));
        prop_assert_eq!(crate::item::parse_item(&changed).unwrap(), expected);
    }

    #[test]
    fn never_panics(code in "[.\\[\\](){}|,;:\"$@a-c0-9 =+*/-]{0,20}") {
        if let Ok(filter) = Filter::compile("--transform", &code) {
            let _ = outcome_of(&filter, ITEM);
        }
    }
}
