use super::*;
use crate::blast::graph::Facts;
use crate::blast::testing::{graph, object, owned_by, step};
use crate::blast::walk::walk;
use crate::blast::{Node, Question};
use kubechat_crds::intent::Action;

fn map(name: &str) -> Node {
    object("", "ConfigMap", name, Facts::Plain)
}

/// Names of what is read by name, where ConfigMap `top` is deleted.
fn names(read: Vec<Node>, aside: Vec<Node>) -> Vec<String> {
    let mut graph = graph([vec![map("top")], read].concat());
    graph.aside = aside;
    let steps = [step(Action::Delete, &[map("top").key])];
    let question = Question {
        steps: &steps,
        namespace: "demo",
        again: false,
    };
    let found = going(&graph, &walk(&question, &graph));
    found.into_iter().map(|key| key.name).collect()
}

#[test]
fn only_what_goes_is_read_by_name_and_what_goes_with_that() {
    let (top, a, b, other) = (map("top"), map("a"), map("b"), map("other"));
    let none: [String; 0] = [];
    assert_eq!(names(vec![], vec![]), none);
    assert_eq!(names(vec![], vec![owned_by(map("c"), &other)]), none);
    let aside = vec![
        // In the wrong order, with a circle.
        owned_by(map("c"), &b),
        owned_by(b.clone(), &a),
        owned_by(owned_by(a.clone(), &top), &b),
        owned_by(map("d"), &other),
    ];
    assert_eq!(names(vec![], aside.clone()), ["a", "b", "c"]);
    // What was read is not read again.
    assert_eq!(names(vec![owned_by(b.clone(), &a)], aside), ["a", "c"]);
    // An owner that is not told owns nothing.
    let mut nobody = owned_by(map("e"), &top);
    nobody.owners[0].uid = String::new();
    assert_eq!(names(vec![], vec![nobody]), none);
}

#[test]
fn a_long_chain_and_a_crowd_are_read_one_further_than_is_reached() {
    let mut chain = vec![map("top")];
    for n in 0..20 {
        let next = owned_by(map(&format!("m{n:02}")), &chain[n]);
        chain.push(next);
    }
    chain.remove(0);
    assert_eq!(names(vec![], chain).len(), MAX_DEPTH + 1);
    let crowd = |n: usize| owned_by(map(&format!("m{n}")), &map("top"));
    assert_eq!(
        names(vec![], (0..6_000).map(crowd).collect()).len(),
        MAX_OBJECTS + 1
    );
}
