//! Looks for models, has them proved and tried, and installs the champion: `find -> prove -> assign roles -> install -> report`.
//!
//! Every replica loads and follows the roles in the statuses, so that a standby forecasts with the same model; only
//! the leader judges and writes. Without a LoadModel, or without their CRD, the built-in model forecasts.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use foreshift_api::{
    LoadModel, LoadModelStatus, apply, load_model::ModelRole, operator_field_manager::MODELS, wire,
};
use foreshift_daemon::shutdown::Stop;
use foreshift_predictor::Model;
use foreshift_view::{Caches, time::elapsed};
use k8s_openapi::{api::core::v1::ConfigMap, jiff::Timestamp};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, Patch, PatchParams},
    runtime::events::Recorder,
};
use serde_json::json;
use tokio::{sync::watch, task::spawn_blocking, time::timeout};
use tracing::{info, warn};

use super::{
    Files, LoadError, Models,
    files::{MANIFEST, ONNX},
    promotion::{Assignment, Candidate, assign_roles},
    scoreboard::Scoreboard,
    status,
};
use crate::{events, metrics::Metrics, write::Gate};

/// How often files and LoadModels are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often candidates are asked: the fine step of a persona.
const FOLLOW_EVERY: Duration = wire::FINE.get();

/// A read of the API server does not hang on one that died.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// LoadModels that are looked at, the newest; what a cluster trains in excess is not even read.
const MOST_MODELS: usize = 8;

/// Name of the model in the folder where no LoadModel stands for it.
const BUILT_IN: &str = "built-in";

/// What the registry works with.
pub struct Context {
    /// For LoadModels and ConfigMaps.
    pub client: Client,
    /// Where the ConfigMaps are.
    pub namespace: String,
    /// The folder of the built-in model.
    pub dir: PathBuf,
    /// This executable, which is run once more for every proof.
    pub program: PathBuf,
    /// The loads to try models on.
    pub caches: Caches,
    /// Whether to judge and write.
    pub gate: Gate,
    /// Tells changes.
    pub recorder: Recorder,
    /// Counts.
    pub metrics: Metrics,
}

/// All models that are known here.
pub struct ModelRegistry {
    ctx: Context,
    models: watch::Sender<Models>,
    proved: HashMap<String, Proved>,
    scoreboard: Scoreboard,
    /// What was written, which the API server's answers may lag behind.
    told: BTreeMap<String, (LoadModelStatus, Timestamp)>,
}

/// What came of a source's files: the last model that was sound, and why the newest is not.
#[derive(Default)]
struct Proved {
    version: String,
    model: Option<Arc<Model>>,
    refused: Option<String>,
}

/// A model's files as they were found, or why they were not.
struct Found {
    source: String,
    /// Changes when the files do.
    version: String,
    files: Result<Files, LoadError>,
}

impl ModelRegistry {
    /// A registry that has not looked yet, and what it will find.
    #[must_use]
    pub fn new(ctx: Context) -> (Self, watch::Receiver<Models>) {
        let (models, receiver) = watch::channel(Models::default());
        let registry = Self {
            ctx,
            models,
            proved: HashMap::new(),
            scoreboard: Scoreboard::default(),
            told: BTreeMap::new(),
        };
        (registry, receiver)
    }

    /// Looks and follows until asked to stop.
    pub async fn run(mut self, mut stop: Stop) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut follow = tokio::time::interval(FOLLOW_EVERY);
        for ticks in [&mut look, &mut follow] {
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                biased;
                () = stop.requested() => return,
                _ = look.tick() => {}
                _ = follow.tick() => {
                    self.follow();
                    continue;
                }
            }
            tokio::select! {
                () = self.look(Timestamp::now()) => {}
                () = stop.requested() => return,
            }
        }
    }

    /// Looks once. What is refused leaves the champion where it is.
    pub async fn look(&mut self, now: Timestamp) {
        let Some(objects) = self.objects().await else { return };
        self.find_and_prove(&objects).await;
        let candidates = self.candidates(&objects);
        let assignments = assign_roles(&candidates);
        self.install(&candidates, &assignments);
        if self.ctx.gate.is_open() {
            self.tell(&objects, &candidates, &assignments, now).await;
        } else {
            // Another replica judges and writes; this one reads.
            (self.scoreboard, self.told) = Default::default();
        }
    }

    /// Has every sound model forecast what is new; only the leader judges.
    fn follow(&mut self) {
        let models: Vec<Arc<Model>> =
            self.proved.values().filter_map(|proved| proved.model.clone()).collect();
        if self.ctx.gate.is_open() {
            self.scoreboard.follow(&self.ctx.caches.personas.state(), &models);
        }
    }

    /// The LoadModels, newest first; `None` if the API server cannot be asked and the present state must do.
    async fn objects(&self) -> Option<Vec<LoadModel>> {
        let api: Api<LoadModel> = Api::all(self.ctx.client.clone());
        let mut objects = match timeout(READ_TIMEOUT, api.list(&ListParams::default())).await {
            Ok(Ok(list)) => list.items,
            // Without the CRD there is the built-in model.
            Ok(Err(kube::Error::Api(status))) if status.is_not_found() => Vec::new(),
            Ok(Err(error)) => {
                warn!(%error, "the LoadModels cannot be read; the models in use stay");
                // Nothing was loaded yet: the built-in model needs no API server.
                return self.proved.is_empty().then(Vec::new);
            }
            Err(_) => return self.proved.is_empty().then(Vec::new),
        };
        objects.sort_by_key(|object| std::cmp::Reverse(object.creation_timestamp().map(|time| time.0)));
        let kept =
            |(i, object): &(usize, LoadModel)| *i < MOST_MODELS || has_a_part(object) || object.spec.pin;
        Some(objects.into_iter().enumerate().filter(kept).map(|(_, object)| object).collect())
    }

    /// Reads every source, and has those files proved that are new.
    async fn find_and_prove(&mut self, objects: &[LoadModel]) {
        let mut found = vec![self.folder().await];
        for object in objects {
            if let Some(source) = &object.spec.source.config_map {
                found.push(self.config_map(&source.name).await);
            }
        }
        self.proved.retain(|source, _| found.iter().any(|found| found.source == *source));
        for Found { source, version, files } in found {
            if self.proved.get(&source).is_some_and(|proved| proved.version == version) {
                continue;
            }
            let result = match files {
                Ok(files) => files.prove(&self.ctx.program).await,
                Err(error) => Err(error),
            };
            let proved = self.proved.entry(source.clone()).or_default();
            // What could not be checked is tried again at the next look; what was refused when it changes.
            proved.version = if matches!(result, Err(LoadError::Check(_))) { String::new() } else { version };
            match result {
                Ok(model) => {
                    info!(source, model = model.name(), digest = model.digest(), "a model was loaded");
                    (proved.model, proved.refused) = (Some(Arc::new(model)), None);
                }
                Err(error) => {
                    let reason = error.to_string();
                    if proved.refused.as_ref() != Some(&reason) {
                        warn!(source, %error, "the model is not used");
                    }
                    proved.refused = Some(reason);
                }
            }
        }
    }

    async fn folder(&self) -> Found {
        let dir = self.ctx.dir.clone();
        let read = spawn_blocking(move || (fingerprint(&dir), Files::in_folder(&dir))).await;
        let (version, files) = read.unwrap_or_else(|error| {
            let files = Err(LoadError::Check(std::io::Error::other(error)));
            (String::new(), files)
        });
        Found { source: BUILT_IN.into(), version, files }
    }

    async fn config_map(&self, name: &str) -> Found {
        let api: Api<ConfigMap> = Api::namespaced(self.ctx.client.clone(), &self.ctx.namespace);
        let advice = format!("make it in namespace {}, with {ONNX} and {MANIFEST}", self.ctx.namespace);
        let (version, files) = match timeout(READ_TIMEOUT, api.get_opt(name)).await {
            Ok(Ok(Some(map))) => (
                map.resource_version().unwrap_or_default(),
                files_of(map).map_err(|lacks| {
                    LoadError::ConfigMap(format!(
                        "the ConfigMap {name} lacks {lacks}; write it with both files"
                    ))
                }),
            ),
            Ok(Ok(None)) => {
                let said = format!("there is no ConfigMap {name}; {advice}");
                (String::new(), Err(LoadError::ConfigMap(said)))
            }
            Ok(Err(error)) => {
                let said = format!("the ConfigMap {name} cannot be read: {error}");
                (String::new(), Err(LoadError::ConfigMap(said)))
            }
            Err(_) => (String::new(), Err(LoadError::ConfigMap("the API server did not answer".into()))),
        };
        Found { source: format!("configmap/{name}"), version, files }
    }

    /// One candidate a LoadModel, and one for the folder if no LoadModel stands for it.
    fn candidates(&self, objects: &[LoadModel]) -> Vec<Candidate> {
        let one =
            |name: String, created, pinned, built_in, source: &str, status: Option<&LoadModelStatus>| {
                let proved = self.proved.get(source);
                let model = proved.and_then(|proved| proved.model.clone());
                let refused = || proved.and_then(|proved| proved.refused.clone()).unwrap_or_default();
                let score = model.as_ref().map(|model| self.scoreboard.score(model.digest()));
                let rejection = status.and_then(|status| status.last_rejection.as_ref());
                Candidate {
                    name,
                    created,
                    pinned,
                    built_in,
                    role: status.and_then(|status| status.role),
                    rejected_file: rejection.and_then(|rejection| rejection.digest.clone()),
                    model: model.ok_or_else(refused),
                    score: score.unwrap_or_default(),
                }
            };
        let mut candidates: Vec<Candidate> = objects
            .iter()
            .map(|object| {
                let created = object.creation_timestamp().map(|time| time.0);
                let source = source(object);
                let built_in = source == BUILT_IN;
                one(object.name_any(), created, object.spec.pin, built_in, &source, self.status_of(object))
            })
            .collect();
        if !candidates.iter().any(|candidate| candidate.built_in) {
            candidates.push(one(BUILT_IN.into(), None, false, true, BUILT_IN, None));
        }
        candidates
    }

    fn install(&self, candidates: &[Candidate], assignments: &[Assignment]) {
        let champion = candidates.iter().zip(assignments).find(|(_, part)| part.role == ModelRole::Champion);
        let model = champion.and_then(|(candidate, _)| candidate.model.as_ref().ok()).cloned();
        let built_in = self.proved.get(BUILT_IN).and_then(|proved| proved.refused.clone());
        let refused = if model.is_none() || candidates.len() == 1 { built_in } else { None };
        self.ctx.metrics.models(candidates.iter().map(|c| (c.name.as_str(), c.score.skill())));
        if let Some(model) = &model {
            self.ctx.metrics.model(model.name(), model.digest());
        }
        let digest = |model: &Option<Arc<Model>>| model.as_ref().map(|model| model.digest().to_owned());
        self.models.send_if_modified(|models| {
            let (other, reason) = (digest(&models.model) != digest(&model), models.refused != refused);
            if let Some((candidate, _)) = champion.filter(|_| other) {
                info!(model = candidate.name, "another model forecasts");
            }
            *models = Models { model, refused };
            other || reason
        });
    }

    /// Writes what people would see differ, and tells what happened.
    async fn tell(
        &mut self,
        objects: &[LoadModel],
        candidates: &[Candidate],
        assignments: &[Assignment],
        now: Timestamp,
    ) {
        self.told.retain(|name, _| objects.iter().any(|object| object.name_any() == *name));
        for ((object, candidate), part) in objects.iter().zip(candidates).zip(assignments) {
            let refused = self.proved.get(&source(object)).and_then(|proved| proved.refused.as_deref());
            let told = self.status_of(object).cloned().unwrap_or_default();
            let next = status::next(candidate, part, refused, &told, now);
            let since = self.told.get(&candidate.name).map(|&(_, at)| elapsed(at, now));
            if !status::is_due(&told, &next, since) {
                continue;
            }
            if let Err(error) = self.write(object, &next).await {
                warn!(model = candidate.name, %error, "the status of a LoadModel was not written");
                continue;
            }
            let events = status::events(part, refused, &told);
            for event in &events {
                self.ctx.metrics.model_event(&event.reason);
            }
            events::publish(&self.ctx.recorder, &object.object_ref(&()), &events).await;
            self.told.insert(candidate.name.clone(), (next, now));
        }
    }

    async fn write(
        &self,
        object: &LoadModel,
        status: &LoadModelStatus,
    ) -> Result<(), crate::write::WriteError> {
        let api: Api<LoadModel> = Api::all(self.ctx.client.clone());
        let mut body = apply::frame_of(object);
        body["status"] = json!(status);
        let params = PatchParams::apply(MODELS).force();
        let name = object.name_any();
        self.ctx
            .gate
            .send("model_status", api.patch_status(&name, &params, &Patch::Apply(body)))
            .await
            .map(drop)
    }

    /// What was last said of a model: by this process, else by the one that led before.
    fn status_of<'a>(&'a self, object: &'a LoadModel) -> Option<&'a LoadModelStatus> {
        self.told.get(&object.name_any()).map(|(status, _)| status).or(object.status.as_ref())
    }
}

fn has_a_part(object: &LoadModel) -> bool {
    let role = object.status.as_ref().and_then(|status| status.role);
    matches!(role, Some(ModelRole::Champion | ModelRole::Previous))
}

fn source(object: &LoadModel) -> String {
    let config_map = object.spec.source.config_map.as_ref();
    config_map.map_or_else(|| BUILT_IN.into(), |source| format!("configmap/{}", source.name))
}

/// Both files, or the name of the one that is missing.
fn files_of(map: ConfigMap) -> Result<Files, &'static str> {
    let (mut binary, mut text) = (map.binary_data.unwrap_or_default(), map.data.unwrap_or_default());
    let mut take =
        |name| binary.remove(name).map(|bytes| bytes.0).or_else(|| text.remove(name).map(Into::into));
    Ok(Files { onnx: take(ONNX).ok_or(ONNX)?, manifest: take(MANIFEST).ok_or(MANIFEST)? })
}

/// Tells one state of a folder's files from another; a ConfigMap volume swaps a symbolic link.
fn fingerprint(dir: &Path) -> String {
    let one = |name| {
        let data = std::fs::metadata(dir.join(name)).ok()?;
        let age = data.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(format!("{} bytes of {}", data.len(), age.as_nanos()))
    };
    [ONNX, MANIFEST].map(|name| one(name).unwrap_or_default()).join(", ")
}

#[cfg(test)]
mod tests;
