use crate::testing::plans::Verb;
use crate::testing::process::{Fuse, World};
use kubechat_crds::PlanPhase;

#[tokio::test]
async fn nothing_is_sent_while_the_clock_is_not_the_api_servers() {
    for (ahead, side) in [
        (60, "behind"),
        (3600, "behind"),
        (-60, "ahead of"),
        (-3600, "ahead of"),
    ] {
        let mut world = World::new();
        let step = world.propose(&[Verb::Label]).await.remove(0);
        world.server.run_ahead(ahead);
        let process = world.start(Fuse::long()).await;
        let error = process.look(&world).await.unwrap_err();
        assert_eq!(error.reason(), "ClockSkew", "{ahead}: {error}");
        assert!(error.to_string().contains(side), "{ahead}: {error}");
        assert_eq!(world.writes(&step), [0], "{ahead}");
        world.server.run_ahead(0);
        let plan = process.finish(&world).await;
        assert_eq!(plan.status.unwrap().phase, Some(PlanPhase::Succeeded), "{ahead}");
        assert_eq!(world.writes(&step), [1], "{ahead}");
    }
}
