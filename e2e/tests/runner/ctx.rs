//! The shared cluster, and what a test asks of it.

use anyhow::{Result, anyhow};
use kube::Client;
use kubechat_e2e::cluster::{Cluster, Options};
use kubechat_e2e::demo;
use kubechat_e2e::product::{self, Product};
use kubechat_e2e::progress::Progress;
use rand::Rng;
use tokio::sync::OnceCell;

/// The shared cluster with people and, from the first test on that asks for it, KubeChat.
pub(crate) struct Ctx {
    /// Declared before the cluster, so stopped before it.
    product: OnceCell<Result<Product, String>>,
    pub(crate) cluster: Cluster,
}

impl Ctx {
    pub(super) async fn start() -> Result<Self> {
        let options = Options {
            progress: Progress::for_people(),
            ..Options::default()
        };
        let cluster = Cluster::start(options).await?;
        demo::set_up(&cluster.client("admin").await?).await?;
        Ok(Self {
            product: OnceCell::new(),
            cluster,
        })
    }

    /// A client for an account.
    pub(crate) async fn client(&self, account: &str) -> Result<Client> {
        self.cluster.client(account).await
    }

    /// A namespace of the test's own, with everyone's rights and a ready nginx.
    pub(crate) async fn namespace(&self, name: &str) -> Result<String> {
        let unique = format!("{name}-{:05x}", rand::rng().random_range(0..0x10_0000));
        demo::make_namespace(&self.client("admin").await?, &unique).await?;
        Ok(unique)
    }

    /// KubeChat in the shared cluster.
    pub(crate) async fn product(&self) -> Result<&Product> {
        let started = self.product.get_or_init(|| async {
            start_product(&self.cluster, product::Options::default())
                .await
                .map_err(|reason| format!("{reason:#}"))
        });
        started
            .await
            .as_ref()
            .map_err(|reason| anyhow!("KubeChat in the shared cluster: {reason}"))
    }
}

/// Builds the program under test and starts it in a cluster.
pub(super) async fn start_product(cluster: &Cluster, options: product::Options) -> Result<Product> {
    build_program().await?;
    Product::start(cluster, options).await
}

/// `cargo test -p kubechat-e2e` alone would test whatever program was built before.
async fn build_program() -> Result<()> {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    let build = || product::build_binary(!cfg!(debug_assertions));
    BUILT.get_or_try_init(build).await.copied()
}
