# The Go programs, built on demand, once for all checkouts, under a hash of their sources.
# shellcheck shell=bash
#
# Whoever runs one of them takes its path from `program`, which builds what is missing. There is no other list.

# program -> the folder with its Go module. Those of one module are links to one executable.
declare -A MODULE_OF=(
  [etcd]=kubernetes [kube-apiserver]=kubernetes [kube-controller-manager]=kubernetes [kube-scheduler]=kubernetes
  [kubelet]=kubernetes [kube-proxy]=kubernetes [kubectl]=kubernetes [helm]=kubernetes
  [kubeconform]=kubeconform
  [prometheus]=prometheus
)
# What is left out of a build: Prometheus asks clouds for what to scrape, with a third of its packages.
declare -A BUILD_TAGS=([prometheus]=remove_all_sd)
# About how many Go packages a cold build compiles; only progress is computed from it.
declare -A PACKAGES_OF=([kubernetes]=3040 [kubeconform]=240 [prometheus]=1100)
REPORT_EVERY=${REPORT_EVERY:-30} # seconds between the lines of progress where there is no terminal

# program NAME: the path of the executable, built if it is missing
program() {
  local module=${MODULE_OF[$1]:-}
  [[ -n $module ]] || die "there is no program \"$1\", only ${!MODULE_OF[*]}"
  build "$module" >&2
  echo "$(module_folder "$module")/$1"
}

# build [MODULE...]: all when none is named
build() {
  local module
  local -a every
  mapfile -t every < <(printf '%s\n' "${MODULE_OF[@]}" | sort -u)
  (($#)) || set -- "${every[@]}"
  mkdir -p "$PROGRAMS"
  for module; do
    [[ -r $CLUSTER_DIR/$module/go.mod ]] || die "there is no module \"$module\" in $CLUSTER_DIR"
    is_built "$module" || take_prebuilt "$module" || (
      # Held by the compiler too: two builds of the same graph at once take twice the time of one after the other.
      exec 8> "$PROGRAMS/.lock"
      flock --nonblock 8 || { say "waiting for another build to finish" && flock 8; }
      is_built "$module" || build_module "$module"
    )
  done
}

is_built() {
  [[ -x $(module_folder "$1")/$1 ]]
}

# module_folder MODULE: where its programs are, or will be, for the sources as they are now
module_folder() {
  local hash
  hash=$(cd "$CLUSTER_DIR/$1" &&
    { go version && link_flags "$1" && printf %s "${BUILD_TAGS[$1]:-}" &&
      cat -- *.mod *.sum && find . -name '*.go' -exec cat {} +; } | sha256sum)
  echo "$PROGRAMS/$1-${hash:0:12}"
}

# With PREBUILT, a folder of programs like PROGRAMS, nothing is compiled that is in there. `e2e/test` runs some phases
# with an empty PROGRAMS and this: what they run without having asked for it is missing, as on a new machine.
take_prebuilt() {
  local folder
  folder=$(module_folder "$1")
  [[ -n ${PREBUILT:-} && -x $PREBUILT/${folder##*/}/$1 ]] || return 1
  ln -sfnT "$PREBUILT/${folder##*/}" "$folder"
}

build_module() {
  local module=$1 started=$EPOCHREALTIME folder scratch log compiler package=. name
  folder=$(module_folder "$module")
  rm -rf "$folder".?????? # of builds that were interrupted
  scratch=$(mktemp -d "$folder.XXXXXX")
  log=$scratch/log
  [[ -e $CLUSTER_DIR/$module/main.go ]] || package=tool
  (
    cd "$CLUSTER_DIR/$module" || exit
    CGO_ENABLED=0 GOFLAGS=-p=$BUILD_JOBS GOWORK=off exec \
      go build -v -trimpath -buildvcs=false -tags "${BUILD_TAGS[$module]:-}" -ldflags "$(link_flags "$module")" \
      -o "$scratch/$module" "$package"
  ) &> "$log" &
  compiler=$!
  # shellcheck disable=SC2064
  trap "kill $compiler 2> /dev/null; rm -rf '$scratch'; exit 130" INT TERM
  show_build_progress "$compiler" "$log" "$module"
  if ! wait "$compiler"; then
    tail -n 20 "$log" >&2
    explain_build_failure "$log" >&2
    rm -rf "$scratch"
    die "the build of $module failed; the compiler's last words are above."
  fi
  for name in "${!MODULE_OF[@]}"; do
    [[ ${MODULE_OF[$name]} != "$module" || $name == "$module" ]] || ln -s "$module" "$scratch/$name"
  done
  say "built $module in $(seconds_since "$started") s ($(packages_compiled "$log") packages compiled)"
  rm -rf "$folder"
  mv -T "$scratch" "$folder" # last, so that a folder of this name is a whole build
  trap - INT TERM
}

# The two causes that lie outside of the sources.
explain_build_failure() {
  if grep -q 'no space left on device' "$1"; then
    echo "The disk is full: make room in $(go env GOCACHE) or $PROGRAMS, or set GOCACHE and FORESHIFT_CACHE to another disk."
  elif grep -qE 'dial tcp|no such host|i/o timeout|connection refused|proxyconnect' "$1"; then
    echo "Go modules could not be downloaded: check the network, and GOPROXY where one is needed."
  fi
}

# On a terminal one line that counts, elsewhere a line every REPORT_EVERY seconds.
show_build_progress() {
  local compiler=$1 log=$2 module=$3 began=$SECONDS shown=0 elapsed line
  while kill -0 "$compiler" 2> /dev/null; do
    elapsed=$((SECONDS - began))
    line="building $module: $elapsed s, $(packages_compiled "$log") of about ${PACKAGES_OF[$module]} packages"
    if [[ -t 1 ]]; then
      printf '\r          %s' "$line"
    elif ((elapsed >= shown + REPORT_EVERY)); then
      shown=$elapsed
      say "$line"
    fi
    sleep 0.5
  done
  [[ ! -t 1 ]] || printf '\r\e[K'
}

packages_compiled() {
  grep -cv '^go: ' "$1" || true
}

# The versions that the projects' own release builds stamp in. Without them Kubernetes calls itself v0.0.0 and
# rejects its own kubelets.
link_flags() {
  local flags="-s -w" version package
  case $1 in
    kubernetes)
      version=$(required_version "$1" k8s.io/kubernetes)
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$version -X $package.gitTreeState=clean"
        flags+=" -X $package.gitMajor=1 -X $package.gitMinor=$(cut -d. -f2 <<< "$version")"
      done
      flags+=" -X helm.sh/helm/v4/internal/version.version=$(required_version "$1" helm.sh/helm/v4)"
      ;;
    kubeconform) flags+=" -X main.version=$(required_version "$1" github.com/yannh/kubeconform)" ;;
    prometheus) flags+=" -X github.com/prometheus/common/version.Version=$(required_version "$1" github.com/prometheus/prometheus)" ;;
  esac
  echo "$flags"
}

# required_version MODULE DEPENDENCY: as its go.mod has it
required_version() {
  awk -v module="$2" '$1 == module && $2 != "=>" { print $2; exit }' "$CLUSTER_DIR/$1/go.mod"
}
