//! Brings back what a former agent of this node knew, from the state folder or from the published persona.

use foreshift_api::ResourcePersona;
use kube::{Api, Client};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::{persona::Memory, publish::CALL_TIMEOUT, store::Store};

/// The newer of the two memories of node `name`; what cannot be read is said and left out.
pub async fn resume(client: Client, name: &str, store: Option<&Store>) -> Option<Memory> {
    let kept = store.and_then(|store| match store.load() {
        Ok(memory) => memory,
        Err(error) => {
            warn!(%error, "the kept state is left out");
            None
        }
    });
    let memory = Memory::newer(kept, published(client, name).await);
    if let Some(at) = memory.as_ref().and_then(|memory| memory.status.observed_at.as_ref()) {
        info!(observed_at = %at.0, "goes on from a former agent's persona");
    }
    memory
}

async fn published(client: Client, name: &str) -> Option<Memory> {
    let personas = Api::<ResourcePersona>::all(client);
    match timeout(CALL_TIMEOUT, personas.get_opt(name)).await {
        Ok(Ok(persona)) => persona.and_then(|persona| persona.status).map(Memory::from),
        // Neither the object nor its kind is there.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => None,
        Ok(Err(error)) => {
            warn!(%error, "the published persona cannot be read");
            None
        }
        Err(_) => {
            warn!("the API server does not answer; the published persona is left out");
            None
        }
    }
}
