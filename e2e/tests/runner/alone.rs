//! Clusters for one test alone.

use anyhow::Result;
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo;
use kubechat_e2e::product::{self, Product};

use super::ctx::start_product;

/// Runs a test in a new, empty cluster; its logs are kept when the test fails.
pub(crate) async fn with_cluster(
    options: Options,
    test: impl AsyncFnOnce(&Cluster) -> Result<()>,
) -> Result<()> {
    let cluster = Cluster::start(options).await?;
    let result = test(&cluster).await;
    if result.is_err() {
        cluster.keep_folder();
    }
    result
}

/// Runs a test in a new cluster with people, nginx in `demo`, and KubeChat.
pub(crate) async fn with_product(
    options: Options,
    product: product::Options,
    test: impl AsyncFnOnce(&Cluster, &Product) -> Result<()>,
) -> Result<()> {
    with_cluster(options, async |cluster| {
        demo::set_up(&cluster.client("admin").await?).await?;
        let product = start_product(cluster, product).await?;
        test(cluster, &product).await
    })
    .await
}
