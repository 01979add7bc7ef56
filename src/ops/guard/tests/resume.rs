//! An interrupted dump or restore: whether the user is asked to resume it.

use chrono::Utc;

use crate::backup::SourceSpec;
use crate::environment::Answers;
use crate::ops::dump::InterruptedDump;
use crate::ops::guard::{
    asks_to_resume_dump, asks_to_resume_restore, asks_to_resume_set_dump, discarded_dump,
    resume_question, resume_set_question,
};
use crate::ops::restore::{ExistingTable, RestoreRequest};
use crate::ops::set::InterruptedSet;

fn answers(yes: bool, confirm: Option<&str>) -> Answers {
    Answers {
        yes,
        confirm: confirm.map(ToOwned::to_owned),
    }
}

fn interrupted(obstacles: &[&str]) -> InterruptedDump {
    InterruptedDump {
        started_at: Utc::now(),
        reached_at: Utc::now(),
        items: 23_351,
        data_bytes: 1_000,
        consumed_read_units: 1.0,
        obstacles: obstacles.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_user_is_asked_only_if_no_option_decides() {
    use ExistingTable::{Add, Fill, Keep, Replace};

    for (resume, existing, yes, confirm, expected) in [
        (false, Add, false, None, true),
        (true, Add, false, None, false),
        (false, Replace, false, None, false),
        (false, Keep, false, None, false),
        (false, Fill, false, None, false),
        (false, Add, true, None, false),
        (false, Add, false, Some("films"), false),
    ] {
        let request = RestoreRequest {
            existing,
            resume,
            ..RestoreRequest::new(SourceSpec::path("out"))
        };
        let asks = asks_to_resume_restore(&request, &answers(yes, confirm));
        assert_eq!(asks, expected, "{resume} {existing:?} {yes} {confirm:?}");
    }

    let asks = |obstacles, is_resumed, yes| {
        asks_to_resume_dump(&interrupted(obstacles), is_resumed, &answers(yes, None))
    };
    assert!(asks(&[], false, false));
    assert!(!asks(&["limit: none then, 5 now"], false, false));
    assert!(!asks(&[], true, false) && !asks(&[], false, true));

    let asks = |is_resumed, yes| asks_to_resume_set_dump(is_resumed, &answers(yes, None));
    assert!(asks(false, false) && !asks(true, false) && !asks(false, true));
}

#[test]
fn question_and_warning_count_the_items() {
    assert_eq!(
        resume_question("restore", 1),
        "Resume the interrupted restore (1 item done)?"
    );
    let set = InterruptedSet {
        finished: 3,
        tables: 40,
    };
    assert_eq!(
        resume_set_question("copy", &set),
        "Resume the interrupted copy (3 of 40 tables done)?"
    );
    assert_eq!(
        discarded_dump(&interrupted(&[])),
        "Discarding the interrupted dump (23,351 items). `resume` would resume it."
    );
    assert_eq!(
        discarded_dump(&interrupted(&["limit: none then, 5 now"])),
        "Discarding the interrupted dump (23,351 items). It cannot be resumed: limit: none then, 5 now."
    );
}
