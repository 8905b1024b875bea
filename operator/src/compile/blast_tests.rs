use super::*;

/// What was found while these could not be read.
fn found(failed: &[&str], pods: i64) -> Measured {
    let error = |what: &str| Error::Timeout {
        what: format!("read {what}"),
        seconds: 2,
    };
    Measured {
        radius: radius(failed, pods),
        refusal: None,
        failed: failed.iter().map(|w| ((*w).to_owned(), error(w))).collect(),
    }
}

fn radius(failed: &[&str], pods: i64) -> BlastRadius {
    BlastRadius {
        objects: [("Pod".to_owned(), pods)].into(),
        complete: failed.is_empty(),
        missing: failed
            .iter()
            .map(|w| format!("{w}: no answer within 2 s"))
            .collect(),
        ..BlastRadius::default()
    }
}

fn judged(planned: &BlastRadius, found: Measured) -> Result<Option<Unfit>, Error> {
    judge(planned, found, |now| blast::grown(planned, now))
}

#[test]
fn a_plan_that_was_approved_as_incomplete_runs_while_the_same_cannot_be_read() {
    let (pods, claims) = ("pods in demo", "persistentvolumeclaims in demo");
    let whole = radius(&[], 2);
    let partly = radius(&[pods], 2);
    // What could be read is waited for.
    assert!(judged(&whole, found(&[pods], 2)).is_err());
    assert!(judged(&partly, found(&[pods, claims], 2)).is_err());
    assert!(judged(&partly, found(&[claims], 2)).is_err());
    // What could not be read is not, and growth counts all the same.
    assert_eq!(judged(&partly, found(&[pods], 2)).unwrap(), None);
    assert!(judged(&partly, found(&[pods], 40)).unwrap().is_some());
    assert_eq!(judged(&whole, found(&[], 2)).unwrap(), None);
    let refused = Measured {
        refusal: Some("protected".into()),
        ..found(&[pods], 2)
    };
    assert_eq!(
        judged(&partly, refused).unwrap(),
        Some(Unfit::Refused("protected".into()))
    );
}
