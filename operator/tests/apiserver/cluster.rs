//! etcd and kube-apiserver on loopback, started once for the whole test program.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client, Config,
    api::{DynamicObject, Patch, PatchParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::{Value, json};

use super::program::Operator;

pub(crate) const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// A control plane of two programs; they end when this program ends, however it does.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    operator: OnceLock<Operator>,
    _programs: [Child; 2],
}

/// The plural names of our custom resources.
const CRDS: [&str; 3] = ["journalroutes", "loadmodels", "resourcepersonas"];

impl Cluster {
    /// The one cluster, with the custom resources and the operator's rights in it and an operator that leads.
    pub(crate) fn shared() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        let cluster = CLUSTER.get_or_init(Self::start);
        cluster.operator.get_or_init(|| Operator::start(cluster, "shared", "default"));
        cluster
    }

    /// The operator that leads.
    pub(crate) fn operator(&self) -> &Operator {
        self.operator.get().expect("it was started with the cluster")
    }

    /// Path of the kubeconfig of a user: `admin` or `operator`.
    pub(crate) fn kubeconfig(&self, user: &str) -> PathBuf {
        self.folder.join(user)
    }

    /// A client of the running test: clients do not outlive their runtime.
    pub(crate) async fn admin(&self) -> Client {
        self.client("admin-token", None).await
    }

    /// The same for whoever has this token, or for the user whom they impersonate.
    pub(crate) async fn client(&self, token: &str, impersonated: Option<&str>) -> Client {
        let mut kubeconfig = Kubeconfig::read_from(self.kubeconfig("admin")).unwrap();
        let user = kubeconfig.auth_infos[0].auth_info.as_mut().unwrap();
        user.token = Some(token.to_owned().into());
        user.impersonate = impersonated.map(str::to_owned);
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Client::try_from(config).unwrap()
    }

    /// The right to lead in one more namespace.
    pub(crate) async fn allow_lease(&self, admin: &Client, namespace: &str) {
        for object in role("Role", Some(namespace)) {
            apply(admin, Some(namespace), &object).await;
        }
    }

    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("foreshift-apiserver-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [client, peer, port] = free_ports();
        let path = |name: &str| folder.join(name).display().to_string();
        let etcd = format!("http://127.0.0.1:{client}");
        let peers = format!("http://127.0.0.1:{peer}");
        let storage = supervised(
            &folder,
            &program("etcd"),
            &[
                format!("--data-dir={}", path("data")),
                "--unsafe-no-fsync".into(),
                "--log-level=warn".into(),
                format!("--listen-client-urls={etcd}"),
                format!("--advertise-client-urls={etcd}"),
                format!("--listen-peer-urls={peers}"),
                format!("--initial-advertise-peer-urls={peers}"),
                format!("--initial-cluster=default={peers}"),
            ],
        );
        let key = path("service-accounts.key");
        let made =
            Command::new("openssl").args(["genrsa", "-out", &key, "2048"]).stderr(Stdio::null()).status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "openssl is needed for the key of service accounts"
        );
        let tokens = "admin-token,admin,admin,system:masters\noperator-token,operator,operator\n";
        fs::write(folder.join("tokens"), tokens).unwrap();
        let server = supervised(
            &folder,
            &program("kube-apiserver"),
            &[
                format!("--etcd-servers={etcd}"),
                "--bind-address=127.0.0.1".into(),
                format!("--secure-port={port}"),
                format!("--cert-dir={}", path("certificates")),
                format!("--token-auth-file={}", path("tokens")),
                "--authorization-mode=RBAC".into(),
                "--disable-admission-plugins=ServiceAccount".into(),
                "--service-account-issuer=https://kubernetes.default.svc".into(),
                format!("--service-account-key-file={key}"),
                format!("--service-account-signing-key-file={key}"),
                "--service-cluster-ip-range=10.0.0.0/24".into(),
            ],
        );
        let cluster = Self { folder, port, operator: OnceLock::new(), _programs: [storage, server] };
        cluster.write_kubeconfigs();
        // A thread of its own: the first test that asks is inside its own runtime.
        std::thread::scope(|scope| {
            let prepared = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(cluster.prepare());
            });
            prepared.join().unwrap();
        });
        cluster
    }

    fn write_kubeconfigs(&self) {
        for user in ["admin", "operator"] {
            let kubeconfig = json!({
                "apiVersion": "v1", "kind": "Config", "current-context": "test",
                "clusters": [{"name": "test", "cluster": {
                    "server": format!("https://127.0.0.1:{}", self.port), "insecure-skip-tls-verify": true,
                }}],
                "users": [{"name": "test", "user": {"token": format!("{user}-token")}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
            });
            fs::write(self.kubeconfig(user), kubeconfig.to_string()).unwrap();
        }
    }

    async fn prepare(&self) {
        let admin = self.admin().await;
        eventually(Duration::from_secs(90), "the API server answers", async || {
            let request = http::Request::get("/readyz").body(Vec::new()).unwrap();
            admin.request_text(request).await.is_ok()
        })
        .await;
        for name in CRDS {
            let text = fs::read_to_string(format!("{REPOSITORY}/crds/{name}.yaml")).unwrap();
            apply(&admin, None, &serde_yaml::from_str(&text).unwrap()).await;
        }
        let crds: Api<CustomResourceDefinition> = Api::all(admin.clone());
        for name in CRDS {
            eventually(Duration::from_secs(20), "the custom resources are served", async || {
                let crd = crds.get(&format!("{name}.foreshift.dev")).await.unwrap();
                let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
                conditions.iter().any(|c| c.type_ == "Established" && c.status == "True")
            })
            .await;
        }
        for object in role("ClusterRole", None) {
            apply(&admin, None, &object).await;
        }
        self.allow_lease(&admin, "default").await;
    }
}

/// Waits until `holds`, asking every 100 ms.
pub(crate) async fn eventually(within: Duration, what: &str, holds: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A port on loopback that nobody listens on.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// Server-side apply of any object.
pub(crate) async fn apply(client: &Client, namespace: Option<&str>, object: &Value) {
    let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
    let (group, version) = text("apiVersion").split_once('/').map_or_else(
        || (String::new(), text("apiVersion")),
        |(group, version)| (group.to_owned(), version.to_owned()),
    );
    let resource = ApiResource::from_gvk(&GroupVersionKind { group, version, kind: text("kind") });
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await.unwrap();
}

/// The rules that the chart gives the operator, as objects for the user `operator`.
fn role(kind: &str, namespace: Option<&str>) -> [Value; 2] {
    let path = format!("{REPOSITORY}/charts/foreshift/templates/operator/rbac.yaml");
    let chart = fs::read_to_string(path).unwrap();
    let document = chart.split("\n---\n").find(|part| part.contains(&format!("\nkind: {kind}\n"))).unwrap();
    let (_, rules) = document.split_once("\nrules:\n").unwrap();
    let rules: Value = serde_yaml::from_str(rules).unwrap();
    let metadata = json!({"name": "operator", "namespace": namespace});
    let version = "rbac.authorization.k8s.io/v1";
    let role = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": version, "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "operator"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "operator"}],
    });
    [role, binding]
}

/// Path of a program of the local cluster, which builds it if it is missing.
pub(crate) fn program(name: &str) -> PathBuf {
    let script = format!("{REPOSITORY}/e2e/cluster/cluster");
    let output = Command::new(script).args(["program", name]).stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "e2e/cluster/cluster program {name}: {}", output.status);
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Starts a program that ends with us: the shell ends it as soon as our end of its standard input closes, and tidies
/// up.
fn supervised(folder: &Path, program: &Path, args: &[String]) -> Child {
    let name = program.file_name().unwrap().to_string_lossy();
    let log = fs::File::create(folder.join(format!("{name}.log"))).unwrap();
    Command::new("sh")
        .args(["-c", r#""$@" & read -r _; kill -KILL $!; wait; rm -rf "$FOLDER""#, "sh"])
        .env("FOLDER", folder)
        .arg(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
