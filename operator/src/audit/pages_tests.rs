use kubechat_audit::{Actor, Draft};

use super::*;
use crate::testing::process::{Fuse, World};

#[tokio::test]
async fn entries_of_a_type_are_read_to_the_end_and_each_once_whatever_of_the_log_is_damaged() {
    let mut world = World::new();
    let process = world.start(Fuse::long()).await;
    let audit = &process.ctx.audit;
    // Every third is of the type, over more than two pages.
    let all: u64 = 2 * PAGE + 105;
    for seq in 1..=all {
        let kind = if seq % 3 == 0 {
            EventType::Approval
        } else {
            EventType::DataAccess
        };
        let draft = Draft::new(kind, Actor::named("bob"), "v", Outcome::Success, "Reason");
        audit.record(draft).await.unwrap();
    }
    let read = async || {
        let (mut seqs, mut unread, mut next) = (vec![], 0, 0);
        loop {
            let page = audit.of_type(EventType::Approval, next).await.unwrap();
            assert!(page.next > next || !page.more, "{next}");
            seqs.extend(page.entries.iter().map(|e| e.seq));
            unread += page.unread;
            next = page.next;
            if !page.more {
                return (seqs, unread, next);
            }
        }
    };
    let of_type: Vec<u64> = (1..=all).filter(|seq| seq % 3 == 0).collect();
    assert_eq!(read().await, (of_type.clone(), 0, all + 1));
    // One at each end of a page, the last one of all, and one of another type beside them.
    let damaged = [3, 999, 1002, 1003, 2103];
    damaged.iter().for_each(|seq| process.store.damage_entry(*seq));
    let left: Vec<u64> = of_type.into_iter().filter(|seq| !damaged.contains(seq)).collect();
    let (seqs, unread, next) = read().await;
    assert_eq!((seqs, next), (left, all + 1));
    assert_eq!(unread, 5);
    // From its end on there is nothing, damaged or not.
    let page = audit.of_type(EventType::Approval, all + 1).await.unwrap();
    assert_eq!(
        (page.entries.len(), page.unread, page.next, page.more),
        (0, 0, all + 1, false)
    );
}
