use super::*;
use crate::error::ErrorKind;

fn there(protected: bool) -> TargetEnvironment {
    let name = "there".to_owned();
    TargetEnvironment { name, protected }
}

fn target(table: &str, questions: &[Question]) -> ApprovalTarget {
    ApprovalTarget {
        table: table.to_owned(),
        questions: questions.to_vec(),
    }
}

fn approval(protected: bool, questions: &[Question]) -> Approval {
    Approval {
        environment: Some(there(protected)),
        targets: vec![target("films", questions)],
        is_set: false,
        action: "Write 2 items into table films (there)".to_owned(),
        questions: Vec::new(),
    }
}

/// An approval for three tables: one is replaced.
fn set(protected: bool) -> Approval {
    Approval {
        targets: vec![
            target("films", &[cross()]),
            target("users", &[cross(), replace("users")]),
            target("votes", &[]),
        ],
        is_set: true,
        action: "Restore 3 tables to there".to_owned(),
        ..approval(protected, &[])
    }
}

fn cross() -> Question {
    Question::CrossEnvironment {
        source: "prod".to_owned(),
        target: "there".to_owned(),
    }
}

fn replace(table: &str) -> Question {
    Question::ReplaceTable {
        table: table.to_owned(),
        losses: Vec::new(),
    }
}

fn answers(yes: bool, confirm: Option<&str>) -> Answers {
    Answers {
        yes,
        confirm: confirm.map(str::to_owned),
    }
}

#[test]
fn who_is_asked_what() {
    for (protected, asked, yes, confirm, outcome) in [
        (false, false, false, None, "granted"),
        (false, true, false, None, "yes or no"),
        (false, true, true, None, "granted"),
        (false, true, false, Some("films"), "granted"),
        (false, true, true, Some("other"), "refused"),
        (false, false, false, Some("other"), "refused"),
        (true, false, false, None, "name"),
        (true, true, false, None, "name"),
        (true, true, true, None, "name"),
        (true, true, false, Some("films"), "granted"),
        (true, true, true, Some("Films"), "refused"),
        (true, true, true, Some(""), "refused"),
    ] {
        let question = Question::OtherRisk("x".to_owned());
        let approval = approval(
            protected,
            if asked {
                std::slice::from_ref(&question)
            } else {
                &[]
            },
        );

        let got = match approval.decide(&answers(yes, confirm)) {
            Ok(Decision::Granted(_)) => "granted",
            Ok(Decision::Ask(Prompt::YesNo(text))) => {
                assert_eq!(text, "Write 2 items into table films (there)?");
                "yes or no"
            }
            Ok(Decision::Ask(Prompt::TypeName(text))) => {
                assert_eq!(
                    text,
                    "Write 2 items into table films (there)? there is protected: type the name of the table to confirm"
                );
                "name"
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotConfirmed);
                "refused"
            }
        };

        assert_eq!(
            got, outcome,
            "protected {protected}, asked {asked}, --yes {yes}, --confirm {confirm:?}"
        );
    }
}

#[test]
fn answers_given_at_a_terminal() {
    let open = approval(false, &[cross()]);
    assert!(open.answer_yes_no(true).unwrap().covers("films"));
    assert_eq!(
        open.answer_yes_no(false).unwrap_err().kind(),
        ErrorKind::NotConfirmed
    );
    let protected = approval(true, &[cross()]);
    assert!(protected.answer_typed(" films\n").unwrap().covers("films"));
    assert_eq!(
        protected
            .answer_typed("film\u{1b}s")
            .unwrap_err()
            .to_string(),
        "the name typed is \"film\\u{1b}s\", but the target table is \"films\""
    );

    assert_eq!(
        protected.answer_typed("").unwrap_err().kind(),
        ErrorKind::NotConfirmed
    );
    assert_eq!(
        protected.answer_yes_no(true).unwrap_err().kind(),
        ErrorKind::NotConfirmed
    );
}

#[test]
fn a_confirmation_covers_what_was_asked_and_no_more() {
    let plain = approval(false, &[cross()]).answer_yes_no(true).unwrap();
    assert!(plain.covers("films") && !plain.covers("Films") && !plain.covers_replacing("films"));
    let replacing = approval(true, &[cross(), replace("films")])
        .answer_typed("films")
        .unwrap();
    assert!(replacing.covers_replacing("films") && !replacing.covers_replacing("other"));
    let of_another = approval(false, &[replace("other")])
        .answer_yes_no(true)
        .unwrap();
    assert!(!of_another.covers_replacing("films") && !of_another.covers_replacing("other"));
}

#[test]
fn a_dump_takes_a_yes_and_covers_no_table() {
    let risk = Question::OtherRisk("the dump there is complete".to_owned());
    let approval = Approval::for_dump("Replace the dump in out", vec![risk]);
    assert!(matches!(
        approval.decide(&answers(false, None)).unwrap(),
        Decision::Ask(Prompt::YesNo(text)) if text == "Replace the dump in out?"
    ));
    let Decision::Granted(confirmation) = approval.decide(&answers(true, None)).unwrap() else {
        panic!("--yes answers it")
    };

    assert!(!confirmation.covers("films") && !confirmation.covers(""));
    assert_eq!(
        approval.unanswered().to_string(),
        "replacing the dump was not confirmed (the dump there is complete)"
    );
    assert_eq!(approval.unanswered().hint(), Some("pass `yes`"));
}

#[test]
fn without_a_terminal_the_hint_is_the_flag() {
    let error = approval(true, &[cross()]).unanswered();
    assert_eq!(error.kind(), ErrorKind::NotConfirmed);
    assert_eq!(
        error.hint(),
        Some("pass `confirm`=films; `yes` is not sufficient")
    );
    let error = approval(false, &[cross()]).unanswered();
    assert_eq!(
        error.to_string(),
        "writing to table \"films\" of environment \"there\" was not confirmed (Source: prod → Target: there)"
    );
    assert_eq!(error.hint(), Some("pass `yes`, or `confirm`=films"));
}

#[test]
fn several_tables_are_confirmed_by_the_name_of_their_environment() {
    for (protected, yes, confirm, outcome) in [
        (false, false, None, "yes or no"),
        (false, true, None, "granted"),
        (false, false, Some("there"), "granted"),
        (false, true, Some("films"), "refused"),
        (true, true, None, "name"),
        (true, false, Some("there"), "granted"),
        (true, true, Some("films"), "refused"),
        (true, true, Some("There"), "refused"),
    ] {
        let got = match set(protected).decide(&answers(yes, confirm)) {
            Ok(Decision::Granted(confirmation)) => {
                assert!(confirmation.covers("films") && confirmation.covers("votes"));
                "granted"
            }
            Ok(Decision::Ask(Prompt::YesNo(text))) => {
                assert_eq!(text, "Restore 3 tables to there?");
                "yes or no"
            }
            Ok(Decision::Ask(Prompt::TypeName(text))) => {
                assert_eq!(
                    text,
                    "Restore 3 tables to there? there is protected: type the name of the environment to confirm"
                );
                "name"
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::NotConfirmed);
                "refused"
            }
        };

        assert_eq!(
            got, outcome,
            "protected {protected}, --yes {yes}, --confirm {confirm:?}"
        );
    }

    assert!(set(true).answer_typed(" there\n").is_ok());
    assert_eq!(
        set(true).answer_typed("films").unwrap_err().to_string(),
        "the name typed is \"films\", but the target environment is \"there\""
    );
    assert!(set(true).answer_yes_no(true).is_err());
}

#[test]
fn a_confirmation_of_several_tables_covers_these_and_their_risks_alone() {
    let confirmation = set(true).answer_typed("there").unwrap();
    for (table, written, replaced) in [
        ("films", true, false),
        ("users", true, true),
        ("votes", true, false),
        ("other", false, false),
    ] {
        assert_eq!(confirmation.covers(table), written, "{table}");
        assert_eq!(confirmation.covers_replacing(table), replaced, "{table}");
    }

    let elsewhere = Approval {
        environment: Some(TargetEnvironment {
            name: "elsewhere".to_owned(),
            protected: false,
        }),
        ..approval(false, &[])
    };
    for (approval, covered) in [
        (approval(false, &[]), true),
        (approval(false, &[cross()]), true),
        (approval(false, &[replace("films")]), false),
        (
            approval(false, &[Question::OtherRisk("x".to_owned())]),
            false,
        ),
        (set(true), true),
        (elsewhere, false),
        (Approval::nothing(), true),
        (
            Approval::for_dump("Replace", vec![Question::OtherRisk("x".to_owned())]),
            false,
        ),
    ] {
        assert_eq!(
            confirmation.covers_approval(&approval),
            covered,
            "{approval:?}"
        );
    }
}

#[test]
fn without_a_terminal_the_hint_for_several_tables_names_the_environment() {
    let error = set(true).unanswered();
    assert_eq!(
        error.to_string(),
        "writing to 3 tables of the protected environment \"there\" was not confirmed"
    );
    assert_eq!(
        error.hint(),
        Some("pass `confirm`=there; `yes` is not sufficient")
    );

    let error = set(false).unanswered();
    assert_eq!(
        error.to_string(),
        "writing to 3 tables of environment \"there\" was not confirmed (Source: prod → Target: there (2 tables: films, users); \
         table \"users\" and its items will be deleted)"
    );
    assert_eq!(error.hint(), Some("pass `yes`, or `confirm`=there"));
}
