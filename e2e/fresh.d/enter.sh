# Entering the root file system: namespaces with the script `init` as PID 1, which every command joins.
# shellcheck shell=bash

CLONE=/src/foreshift
CLEAN_ENVIRONMENT=()

# find_toolchains: sets RUSTUP, RUSTUP_FOLDER and GO_FOLDER
find_toolchains() {
  RUSTUP=$(command -v rustup) || die "rustup is missing: install Rust by it (https://rustup.rs)"
  RUSTUP_FOLDER=$("$RUSTUP" show home)
  # Here, rustup can still install a missing toolchain; inside, its folder is read-only.
  rustc --version > /dev/null || die "rustup has no toolchain for rust-toolchain.toml; its message is above."
  command -v go > /dev/null || die "Go is missing (https://go.dev/doc/install)"
  GO_FOLDER=$(go env GOROOT)
}

enter_root() {
  local ready git_folder
  local -a namespaces=(--mount --uts --ipc --pid)
  # Not with cgroup v2 alone: a cgroup that has processes cannot enable controllers for its children.
  [[ $(awk '$3 == "cgroup"' /proc/self/mounts) == "" ]] || namespaces+=(--cgroup)
  git_folder=$(git rev-parse --path-format=absolute --git-common-dir)
  clean_environment
  exec {ready}< <(
    join_own_cgroups
    exec unshare "${namespaces[@]}" --fork --kill-child=KILL bash "$CHECKOUT/e2e/fresh.d/init" "$ROOT" \
      "$RUSTUP_FOLDER:root/.rustup" "$GO_FOLDER:usr/local/go" "$git_folder:mnt/repository"
  )
  read -r INIT <&"$ready" || die "the root file system could not be entered; the reason is above."
  exec {ready}<&-
  ENTER=(nsenter --target "$INIT" "${namespaces[@]}")
}

# HOME and PATH as on a new machine, and the configuration of registries.
clean_environment() {
  local name value
  CLEAN_ENVIRONMENT=(
    HOME=/root
    PATH=/root/.cargo/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  )
  while read -r name; do CLEAN_ENVIRONMENT+=("$name=${!name}"); done < <(passed_variables)
  for name in GOPROXY GOFLAGS GOTOOLCHAIN GOSUMDB GONOSUMDB GONOPROXY GOPRIVATE GOINSECURE; do
    value=$(go env "$name")
    [[ -z $value ]] || CLEAN_ENVIRONMENT+=("$name=$value")
  done
}

# in_root FOLDER [VARIABLE=VALUE...] COMMAND...: replaces this shell. Background jobs of a script start with SIGINT
# ignored; the commands must not inherit that.
in_root() {
  exec "${ENTER[@]}" -- /usr/bin/env -i --chdir="$1" --default-signal=INT,QUIT,PIPE "${CLEAN_ENVIRONMENT[@]}" "${@:2}"
}

in_checkout() {
  in_root "$CLONE" "$@"
}

# The repository may belong to another user, which git rejects unless configured; only this command sees the file.
clone() {
  printf '[safe]\n\tdirectory = *\n' > "$ROOT/mnt/gitconfig"
  (in_root / GIT_CONFIG_GLOBAL=/mnt/gitconfig git clone --quiet --no-checkout file:///mnt/repository "$CLONE")
  in_checkout git -c advice.detachedHead=false checkout "$COMMIT"
}
