//! What a plan's digest is, by programs that are not ours: RFC 8785's own examples, and a plan whose canonical form and
//! digest were computed with Python (keys sorted as UTF-16, `json.dumps`, `hashlib`) and again with JavaScript
//! (`JSON.stringify`, whose numbers RFC 8785 prescribes).

// Helpers of tests may stop where they stand; clippy only knows the test functions themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use kubechat_crds::{CommandPlanSpec, canonical};
use serde::Serialize;
use serde_json::{Value, json};

fn text<T: Serialize>(value: &T) -> String {
    String::from_utf8(canonical(value).unwrap()).unwrap()
}

fn plan() -> Value {
    serde_json::from_str(include_str!("plan.json")).unwrap()
}

#[test]
fn a_plan_has_the_digest_that_other_programs_compute() {
    let plan = plan();
    let typed: CommandPlanSpec = serde_json::from_value(plan.clone()).unwrap();
    assert_eq!(
        serde_json::to_value(&typed).unwrap(),
        plan,
        "a field is lost or added on the way: compute the digest of the file anew, with another program"
    );
    let digest = "sha256:74ccacf5b78f5a9702dbfcba3d5a82611a447d6c63df856524a86609cd1a80d8";
    assert_eq!(typed.compute_digest().unwrap().as_str(), digest);
    assert_eq!(plan["digest"], digest);
}

#[test]
fn any_change_of_a_plan_changes_its_digest_and_the_digest_itself_does_not() {
    let digest_of = |plan: &Value| {
        let typed: CommandPlanSpec = serde_json::from_value(plan.clone()).unwrap();
        typed.compute_digest().unwrap()
    };
    let before = digest_of(&plan());
    for (pointer, value) in [
        ("/requester/username", json!("mallory")),
        ("/requester/seal/mac", json!("cd".repeat(32))),
        ("/mode", json!("PlanOnly")),
        ("/steps/0/params/replicas", json!(50)),
        ("/steps/0/patch", json!("{}")),
        ("/steps/0/targets/0/uid", json!("u9")),
        ("/steps/0/rollback/params/replicas", json!(1)),
        ("/risk/score", json!(27)),
        ("/facts/incident", json!(true)),
        ("/blastRadius/podsLost", json!(1)),
        ("/requirement/0/selfConfirm", json!(false)),
        ("/expiresAt", json!("2027-01-31T12:00:00Z")),
        ("/clusterUID", json!("another")),
    ] {
        let mut changed = plan();
        *changed.pointer_mut(pointer).unwrap() = value;
        assert_ne!(digest_of(&changed), before, "{pointer}");
    }
    let mut same = plan();
    same["digest"] = json!("");
    assert_eq!(digest_of(&same), before);
}

#[test]
fn texts_literals_and_order_are_those_of_rfc_8785() {
    // Section 3.2.2.
    let numbers = [
        "333333333.33333329",
        "1E30",
        "4.50",
        "2e-3",
        "0.000000000000000000000000001",
    ];
    let numbers = numbers.map(|number| number.parse::<f64>().unwrap());
    let value = json!({
        "numbers": numbers,
        "string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/",
        "literals": [null, true, false],
    });
    assert_eq!(
        text(&value),
        "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
         \"string\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
    );
    // Section 3.2.3: sorted as UTF-16, in which U+1F600 comes before U+FB33.
    let keys = json!({
        "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
    });
    assert_eq!(
        text(&keys),
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
         \"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",\
         \"\u{1f600}\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
    );
}

#[test]
fn numbers_are_written_as_rfc_8785_says() {
    // Appendix B.
    for (bits, wanted) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(text(&f64::from_bits(bits)), wanted, "{bits:016x}");
    }
    for none in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(canonical(&none).is_err(), "{none} has no canonical form");
    }
}
