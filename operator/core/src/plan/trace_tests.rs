use serde_json::json;

use super::*;
use crate::plan::actions::create_namespace;

/// Namespace `team` with this UID and this mark.
fn team(uid: &str, id: Option<&str>) -> Value {
    json!({"metadata": {"name": "team", "uid": uid, "annotations": {STEP_ID_ANNOTATION: id}}})
}

#[test]
fn an_object_that_was_replaced_under_its_name_is_not_the_one_that_was_changed() {
    let mut step = create_namespace::draft("team", 0).step;
    step.effect = Effect::Update;
    let mut target = step.targets[0].clone();
    for (planned, expected) in [
        (Some("u"), Same::Yes),
        (Some("another"), Same::No),
        (None, Same::Unknown),
    ] {
        target.uid = planned.map(str::to_owned);
        // Whatever it bears, and whatever a step is said to have made.
        let object = team("u", Some("id"));
        assert_eq!(is_the_one(&step, &target, &object, "id", Some("made")), expected);
    }
}

#[test]
fn an_object_that_a_step_made_is_known_by_its_uid_whatever_mark_was_written_over_its_own_since() {
    let step = create_namespace::draft("team", 0).step;
    for (made, uid, id, expected) in [
        (Some("u"), "u", Some("id"), Same::Yes),
        (Some("u"), "u", Some("of a later plan"), Same::Yes),
        (Some("u"), "u", None, Same::Yes),
        // Somebody copied it, mark and all.
        (Some("u"), "another", Some("id"), Same::No),
        (Some("u"), "another", None, Same::No),
        // Its UID is not on record.
        (None, "u", Some("id"), Same::Yes),
        (None, "u", Some("of a later plan"), Same::Unknown),
        (None, "u", None, Same::Unknown),
    ] {
        let found = is_the_one(&step, &step.targets[0], &team(uid, id), "id", made);
        assert_eq!(found, expected, "{made:?} {uid} {id:?}");
    }
}
