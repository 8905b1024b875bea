use proptest::prelude::*;

use super::super::bounds::MAX_COST;
use super::super::vars;
use super::*;

fn problem_of(source: &str) -> CelProblem {
    match Program::compile(source) {
        Ok(_) => panic!("{source:.80} was taken"),
        Err(problem) => problem,
    }
}

#[test]
fn a_fault_is_told_with_its_line_and_column() {
    let table = [
        ("plan.level ==", (1, 14), "Syntax error"),
        ("plan.level == 'x' &&\n  (1 + ", (2, 8), "Syntax error"),
        (
            "plan.level == 'a' || pln.level == 'b'",
            (1, 22),
            "pln is not known",
        ),
        (
            "plan.level == 'a'\n  && step.acton == 'scale'",
            (2, 11),
            "no field acton",
        ),
        ("has(plan.blastRadius.podsLots)", (1, 22), "no field podsLots"),
        (
            "plan.steps.exists(s,\n s.acton == 'scale')",
            (2, 4),
            "no field acton",
        ),
        ("plan.steps[0].acton == 'scale'", (1, 15), "no field acton"),
        ("plan.steps.exists(s, @result)", (1, 22), "unexpected character"),
        ("plan.steps.exists(s, sized(s) > 1)", (1, 22), "no function sized"),
        ("target.name.matches('(')", (1, 13), "the pattern cannot be used"),
        ("target.name.matches(target.kind)", (1, 13), "must be written out"),
        ("plan.steps.all(plan, true)", (1, 1), "cannot be called plan"),
        ("Foo{a: 1}", (1, 1), "messages cannot be made"),
        ("   ", (1, 1), "is empty"),
        ("target.name == 'ä' || x", (1, 23), "x is not known"),
    ];
    for (source, (line, column), message) in table {
        let problem = problem_of(source);
        assert_eq!(
            (problem.line, problem.column),
            (line, column),
            "{source}: {problem}"
        );
        assert!(problem.message.contains(message), "{source}: {problem}");
    }
}

#[test]
fn what_loops_too_much_or_costs_too_much_is_refused() {
    let long_list = vec!["1"; 1500].join(",");
    let table = [
        // Every list at its longest: 64 * 256 * 256.
        "plan.steps.exists(a, requester.groups.exists(b, requester.groups.exists(c, c == b)))".to_owned(),
        "requester.groups.all(a, requester.groups.all(b, requester.groups.all(c, true)))".to_owned(),
        "[1].all(a, [1].all(b, [1].all(c, [1].all(d, true))))".to_owned(),
        format!("[{long_list}].all(a, [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20].all(b, [1,2,3,4,5].all(c, true)))"),
        "(requester.groups + requester.groups + requester.groups).map(g, requester.groups + requester.groups).all(l, l.all(x, x == 'a'))".to_owned(),
        "x".repeat(MAX_LENGTH + 1),
        "target.name.matches('((a{100}){100}){100}')".to_owned(),
        // Two to the power of thirty, by text, by lists, by lists of lists and by maps.
        format!("['ab']{}.size() == 1", ".map(x, x + x)".repeat(30)),
        format!("[requester.groups]{}.size() == 1", ".map(x, x + x)".repeat(30)),
        format!("[plan]{}.size() == 1", ".map(x, [x, x])".repeat(30)),
        format!("['ab']{0} == ['ab']{0}", ".map(x, {1: x, 2: x})".repeat(20)),
        format!("[requester.groups]{}.all(a, a == [])", ".map(a, a + a + a + a)".repeat(5)),
        // What is compared is as large as the plan.
        "plan.steps.all(s, plan == plan) || requester.groups.all(g, plan == plan)".to_owned(),
        "requester.groups.map(a, requester).size() == 1".to_owned(),
        "requester.groups.exists(g, step.params == plan.steps)".to_owned(),
        // Long texts that are searched, and matched, again and again.
        "requester.groups.exists(g, requester.groups.exists(h, h.contains(g)))".to_owned(),
        "requester.groups.all(a, requester.groups.all(b, b.matches('x*y')))".to_owned(),
    ];
    for source in table {
        let problem = problem_of(&source);
        let said = [
            "can grow too large",
            "costs too much",
            "nest deeper",
            "longer than",
            "pattern cannot be used",
        ];
        assert!(
            said.iter().any(|s| problem.message.contains(s)),
            "{source:.80}: {problem}"
        );
    }
}

#[test]
fn what_people_write_is_within_the_bounds() {
    let table = [
        "plan.steps.exists(s, s.action == 'delete' && s.kinds.exists(k, k in ['Secret', 'ConfigMap']))",
        "requester.groups.exists(g, g.startsWith('team-') && g in namespaceObject.labels)",
        "plan.namespaces.all(n, n in requester.groups)",
        "plan.steps.filter(s, s.level == 'destructive').map(s, s.kinds).exists(k, 'Secret' in k)",
        "has(step.params.set) && step.params.set.exists(k, k.startsWith('example.com/'))",
        "plan.steps.exists(a, plan.steps.exists(b, a.id != b.id && a.action == 'delete'))",
        "plan.blastRadius.objects.exists(k, plan.blastRadius.objects[k] > 10)",
        "step.command.contains('--force') || target.name.matches('^[a-z]+-(eu|us)-[0-9]+$')",
        "requester.extra.exists(k, k == 'scopes') && 'view' in requester.extra['scopes']",
        "has(step.params.image) && step.params.image.matches('^registry.example.com/') && !step.params.image.matches(':latest$')",
        "requester.groups.exists(g, g.matches('^sre-[a-z]+$'))",
        "step.fields.exists(f, f.matches('^/spec/template/')) || step.selectedBy.exists(s, s.matches('^Service/'))",
        "namespaceObject.labels['env'].matches('^prod-') && target.kind == 'Deployment'",
        "'breakfast ' + target.name + ' for ' + requester.username != ''",
    ];
    for source in table {
        let program = Program::compile(source).unwrap_or_else(|p| panic!("{source}: {p}"));
        assert!(program.cost <= MAX_COST, "{source}");
    }
}

#[test]
fn what_is_as_long_as_allowed_uses_up_no_stack() {
    let deep =
        |open: &str, close: &str| format!("{}true{}", open.repeat(4096 / open.len() / 2), close.repeat(200));
    let shapes = [
        deep("(", ")"),
        deep("[", "]"),
        deep("{1:", "}"),
        deep("!", ""),
        deep("-", ""),
        deep("!-", ""),
        deep("true?", ":1"),
        deep("a.b(", ")"),
        deep("x.all(y,", ")"),
        deep("\"", "\""),
        "1".to_owned() + &"+1".repeat(MAX_SIGNS),
        format!("({}).map(x, x)", "1".to_owned() + &"+1".repeat(MAX_SIGNS - 10)),
        "plan".to_owned() + &".a".repeat(MAX_SIGNS),
        format!("has({})", "plan".to_owned() + &".a".repeat(MAX_SIGNS - 10)),
        "plan".to_owned() + &"[0]".repeat(MAX_SIGNS),
        "true ? 1 : ".repeat(MAX_CONDITIONALS) + "2",
        "true ? ".repeat(MAX_CONDITIONALS) + "2",
        "true && ".repeat(500) + "true",
        "[1]".to_owned() + &".map(x, x)".repeat(390),
        format!("{}1{}", "[1].map(x,".repeat(31), ")".repeat(31)),
        "'a' in ".repeat(500) + "[]",
    ];
    for shape in shapes {
        // A thread of the size that tokio's have, and a clean stack for each.
        let name = shape.chars().take(24).collect::<String>();
        let done = std::thread::Builder::new()
            .stack_size(2 * 1024 * 1024)
            .spawn(move || {
                if let Ok(program) = Program::compile(&shape) {
                    let _ = program.run(&context(&Arc::new(BTreeMap::new())));
                }
            })
            .unwrap()
            .join();
        assert!(done.is_ok(), "{name}");
    }
}

fn run(source: &str) -> Result<bool, String> {
    let program = Program::compile(source).map_err(|p| p.to_string())?;
    let mut context = context(&Arc::new(program.patterns.clone()));
    // 2026-07-01T10:30:00Z, a Wednesday.
    context.add_variable_from_value("now", Value::Int(1_782_901_800));
    program.run(&context)
}

#[test]
fn times_compare_and_know_their_zone() {
    let yes = [
        "now == timestamp('2026-07-01T10:30:00Z')",
        "now + duration('1h') == timestamp('2026-07-01T13:30:00+02:00')",
        "now.getHours() == 10 && now.getHours('Europe/Berlin') == 12",
        "now.getHours('America/New_York') == 6 && now.getMinutes('Asia/Kolkata') == 0",
        "now.getDayOfWeek('Europe/Berlin') == 3",
        "now.getDate() == 1 && now.getMonth() == 6 && now.getFullYear() == 2026",
        "'web-7'.matches('^web-[0-9]+$') && !'api'.matches('^web')",
        "[1, 2][1] == 2 && {'a': 1}['a'] == 1 && (1 < 2 ? !false : -1 == 1) && 7 % 4 - 1 * 2 / 1 == 1",
        "size('abc') == 3 && 'abc'.contains('b') && 'a' in ['a', 'b']",
    ];
    for source in yes {
        assert_eq!(run(source), Ok(true), "{source}");
    }
    for bad in [
        "now.getHours('Mars/Olympus') == 1",
        "timestamp('tomorrow') > now",
        "duration('soon') > 1",
        "1 / 0 == 1",
    ] {
        assert!(run(bad).is_err(), "{bad}");
    }
    assert!(run("now + 1").unwrap_err().contains("not true or false"));
}

#[test]
fn the_guide_names_every_variable_field_and_function() {
    let guide = include_str!("../../../../docs/policies.md");
    let named = |word: &str| guide.match_indices(word).count() > 0;
    let paths = [
        "step",
        "plan",
        "plan.blastRadius",
        "plan.window",
        "requester",
        "target",
        "namespaceObject",
    ];
    for path in paths {
        let row = guide.lines().find(|l| l.starts_with(&format!("| `{path}`")));
        let row = row.unwrap_or_else(|| guide.lines().find(|l| l.starts_with("| `plan`")).unwrap());
        for field in vars::fields(path).unwrap() {
            assert!(row.contains(field), "{path}.{field}");
        }
    }
    for name in vars::NAMES
        .into_iter()
        .chain(["startsWith", "matches", "getDayOfWeek", "exists_one"])
    {
        assert!(named(name), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Whatever a person writes: it is taken or refused, and what is taken can be run.
    #[test]
    fn no_text_makes_it_panic(text in ".{0,300}") {
        try_all(&text);
    }

    /// Text that is nearly CEL gets further.
    #[test]
    fn no_text_of_cel_words_makes_it_panic(words in proptest::collection::vec(word(), 0..60)) {
        try_all(&words.concat());
    }
}

fn try_all(text: &str) {
    if let Ok(program) = Program::compile(text) {
        assert!(program.cost <= MAX_COST);
        let mut context = context(&Arc::new(program.patterns.clone()));
        context.add_variable_from_value("now", Value::Int(i64::MAX));
        let _ = program.run(&context);
    }
}

fn word() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "plan",
        "step",
        "now",
        ".level",
        ".steps",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        "'a'",
        "\"",
        "r'",
        "b'x'",
        "\\u{1F600}",
        "1",
        "-9223372036854775808",
        "18446744073709551615u",
        "1e400",
        "0x",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        "&&",
        "||",
        "!",
        "?",
        ":",
        " in ",
        "has",
        ".all(x,",
        ".exists(y,",
        ".map(z,",
        ".filter(w,",
        "x",
        "true",
        "null",
        "size",
        ".matches('(')",
        ".getHours(",
        "int(",
        "//",
        "\n",
        "`a`",
        ".?b",
        "@in",
        "_+_",
        "type(",
    ])
}
