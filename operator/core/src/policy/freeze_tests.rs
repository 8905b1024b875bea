use kubechat_crds::risk_policy::RuleEffect;

use super::*;

fn window(cron: &str, length: &str, zone: &str) -> Window {
    Window::compile(&Freeze {
        cron: Some(cron.into()),
        duration: Some(length.into()),
        time_zone: Some(zone.into()),
        effect: RuleEffect::Deny,
        ..Freeze::default()
    })
    .unwrap()
}

fn holds(window: &Window, at: &str) -> bool {
    window.active(at.parse().unwrap()).unwrap().is_some()
}

#[test]
fn a_window_holds_from_its_start_to_its_end_on_the_wall_clock_of_its_zone() {
    // Friday 16:00 to Monday 08:00 in Berlin.
    let weekend = window("0 16 * * FRI", "64h", "Europe/Berlin");
    let table = [
        // Summer time: UTC+2.
        ("2026-07-03T13:59:59Z", false),
        ("2026-07-03T14:00:00Z", true),
        ("2026-07-05T12:00:00Z", true),
        ("2026-07-06T05:59:59Z", true),
        ("2026-07-06T06:00:00Z", false),
        // Winter time: UTC+1.
        ("2026-01-09T14:59:59Z", false),
        ("2026-01-09T15:00:00Z", true),
        ("2026-01-12T07:00:00Z", false),
    ];
    for (at, expected) in table {
        assert_eq!(holds(&weekend, at), expected, "{at}");
    }
    assert_eq!(
        weekend.active("2026-07-04T00:00:00Z".parse().unwrap()).unwrap(),
        Some("2026-07-06T06:00:00Z".parse().unwrap())
    );
}

#[test]
fn summer_time_never_makes_a_freeze_vanish_or_get_shorter() {
    // 02:30 does not exist in Berlin on 2026-03-29; the window starts an hour later on the wall, 03:30 (01:30Z).
    let skipped = window("30 2 * * *", "1h", "Europe/Berlin");
    for (at, expected) in [
        ("2026-03-28T01:30:00Z", true),
        ("2026-03-29T01:29:59Z", false),
        ("2026-03-29T01:30:00Z", true),
        ("2026-03-29T02:29:59Z", true),
        ("2026-03-29T02:30:00Z", false),
        ("2026-03-30T00:30:00Z", true),
    ] {
        assert_eq!(holds(&skipped, at), expected, "{at}");
    }
    // 02:30 comes twice on 2026-10-25: 00:30Z and 01:30Z. The first counts, for two hours.
    let twice = window("30 2 * * *", "2h", "Europe/Berlin");
    for (at, expected) in [
        ("2026-10-25T00:29:59Z", false),
        ("2026-10-25T00:30:00Z", true),
        ("2026-10-25T01:45:00Z", true),
        ("2026-10-25T02:29:59Z", true),
        ("2026-10-25T02:30:00Z", false),
    ] {
        assert_eq!(holds(&twice, at), expected, "{at}");
    }
    // A night that spans the change lasts its eight hours.
    let night = window("0 22 * * *", "8h", "America/New_York");
    for (at, expected) in [
        ("2026-03-08T02:59:59Z", false),
        ("2026-03-08T03:00:00Z", true),
        ("2026-03-08T10:59:59Z", true),
        ("2026-03-08T11:00:00Z", false),
    ] {
        assert_eq!(holds(&night, at), expected, "{at}");
    }
}

#[test]
fn windows_that_overlap_or_begin_every_minute_hold_throughout() {
    let always = window("* * * * *", "1m", "UTC");
    let long = window("* * * * *", "720h", "Asia/Kolkata");
    let days = window("0 0 * * *", "36h", "Australia/Lord_Howe");
    for at in [
        "2026-03-29T01:30:30Z",
        "2026-10-25T00:30:00Z",
        "2026-04-04T15:00:00Z",
    ] {
        for window in [&always, &long, &days] {
            assert!(holds(window, at), "{} at {at}", window.text);
        }
    }
}

#[test]
fn once_is_from_inclusive_to_exclusive() {
    let freeze: Freeze = serde_json::from_str(
        r#"{"from": "2026-12-20T00:00:00Z", "to": "2027-01-04T00:00:00Z", "timeZone": "Europe/Paris", "effect": "Deny"}"#,
    )
    .unwrap();
    let window = Window::compile(&freeze).unwrap();
    for (at, expected) in [
        ("2026-12-19T23:59:59Z", false),
        ("2026-12-20T00:00:00Z", true),
        ("2027-01-03T23:59:59Z", true),
        ("2027-01-04T00:00:00Z", false),
    ] {
        assert_eq!(holds(&window, at), expected, "{at}");
    }
}

#[test]
fn refuses_what_is_no_window() {
    let table = [
        (
            r#"{"cron": "0 0 * *", "duration": "1h", "effect": "Deny"}"#,
            "five fields",
        ),
        (
            r#"{"cron": "0 0 * * * Europe/Berlin", "duration": "1h", "effect": "Deny"}"#,
            "five fields",
        ),
        (
            r#"{"cron": "61 0 * * *", "duration": "1h", "effect": "Deny"}"#,
            "cannot be read",
        ),
        (
            r#"{"cron": "0 0 31 2 *", "duration": "1h", "effect": "Deny"}"#,
            "never begins",
        ),
        (
            r#"{"cron": "@daily x x x x", "duration": "1h", "effect": "Deny"}"#,
            "cannot be read",
        ),
        (
            r#"{"cron": "0 0 * * *", "duration": "0s", "effect": "Deny"}"#,
            "no duration",
        ),
        (
            r#"{"cron": "0 0 * * *", "duration": "99999h", "effect": "Deny"}"#,
            "no duration",
        ),
        (
            r#"{"cron": "0 0 * * *", "duration": "1h", "timeZone": "Europe/Bärlin", "effect": "Deny"}"#,
            "no IANA time zone",
        ),
        (
            r#"{"cron": "0 0 * * *", "duration": "1h", "timeZone": "../../etc/passwd", "effect": "Deny"}"#,
            "no IANA time zone",
        ),
        (
            r#"{"cron": "0 0 * * *", "duration": "1h", "effect": "Allow"}"#,
            "effect is Allow",
        ),
        (
            r#"{"cron": "0 0 * * *", "effect": "Deny"}"#,
            "either cron and duration",
        ),
        (
            r#"{"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z", "effect": "Deny"}"#,
            "ends before",
        ),
        (
            r#"{"from": "2026-01-02T00:00:00Z", "effect": "Deny"}"#,
            "either cron and duration",
        ),
    ];
    for (text, message) in table {
        let freeze: Freeze = serde_json::from_str(text).unwrap();
        let problem = Window::compile(&freeze).unwrap_err();
        assert!(problem.contains(message), "{text}: {problem}");
    }
}
