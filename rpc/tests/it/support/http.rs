//! What the HTTP endpoints tell about the server's insides.

use super::*;

impl Fixture {
    /// Waits until exactly so many polls wait in the server. A poll has no answer of its own, so this is how a test knows
    /// that one has arrived, or is gone.
    pub async fn waiting_polls(&self, count: usize) {
        let (address, wanted) = (self.http(), format!("ironhorse_waiting_polls {count}"));
        until(|| {
            let wanted = &wanted;
            async move {
                let metrics = http(address, "GET", "/metrics").await.body;
                metrics.lines().any(|line| line == wanted).then_some(())
            }
        })
        .await;
    }
}
