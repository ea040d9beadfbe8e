# What a person sees of the demo's steps, builds that run side by side, and an end at any moment that leaves nothing.
# shellcheck shell=bash

STEPS=()            # names, in order
declare -A TEXTS=() ESTIMATES=() # of each step; seconds
CURRENT=0           # how many steps have begun
RUNNING=()          # process groups that `stop` ends
BUILDS=()           # names of the builds that run
STARTED_CLUSTER=""  # set by whoever starts the cluster

# add_step NAME TEXT SECONDS
add_step() {
  STEPS+=("$1")
  TEXTS[$1]=$2
  ESTIMATES[$1]=$3
}

show_plan() {
  local name
  echo "$(minutes "$(seconds_left_after 0)") in all, in ${#STEPS[@]} steps:"
  for name in "${STEPS[@]}"; do
    printf '  %-8s %-8s %s\n' "$name" "$(minutes "${ESTIMATES[$name]}")" "${TEXTS[$name]}"
  done
}

# step NAME: says that it begins
step() {
  CURRENT=$((CURRENT + 1))
  [[ ${STEPS[CURRENT - 1]} == "$1" ]] || die "step $1 is not number $CURRENT of the plan"
  say "=== $CURRENT of ${#STEPS[@]}: $1 ($(minutes "${ESTIMATES[$1]}"); then $(minutes "$(seconds_left_after "$CURRENT")") to go)"
}

# seconds_left_after COUNT: the estimates of the steps beyond the first COUNT
seconds_left_after() {
  local name sum=0
  for name in "${STEPS[@]:$1}"; do sum=$((sum + ESTIMATES[$name])); done
  echo "$sum"
}

# minutes SECONDS: rounded as a person would say it
minutes() {
  if (($1 < 90)); then echo "$1 s"; else echo "$((($1 + 30) / 60)) min"; fi
}

# attend COMMAND...: in a process group that `stop` can end. Only `wait` lets traps act at once, and a job in the
# background would ignore SIGINT.
attend() {
  local pid status=0
  setsid env --default-signal=INT "$@" &
  pid=$!
  RUNNING+=("$pid")
  wait "$pid" || status=$?
  return "$status"
}

# start_build NAME COMMAND...
start_build() {
  setsid env --default-signal=INT "${@:2}" &> "$LOGS/$1.log" &
  RUNNING+=("$!")
  BUILDS+=("$1:$!")
}

# Shows how far the builds are until all have ended. When one fails, the others end too.
await_builds() {
  local began=$SECONDS shown=-30 columns
  columns=$(tput cols 2> /dev/null || echo 100)
  while ((${#BUILDS[@]})); do
    if [[ -t 1 ]]; then
      printf '\r%s\e[K' "$(build_progress $((SECONDS - began)) | cut -c "1-$((columns - 1))")"
    elif ((SECONDS - began >= shown + 30)); then
      shown=$((SECONDS - began))
      say "$(build_progress "$shown")"
    fi
    sleep 1
    reap_builds
  done
  [[ ! -t 1 ]] || printf '\r\e[K'
  say "built what was missing in $((SECONDS - began)) s; the logs are in $LOGS"
}

reap_builds() {
  local build
  local -a left=()
  for build in "${BUILDS[@]}"; do
    if kill -0 "${build#*:}" 2> /dev/null; then
      left+=("$build")
    else
      wait "${build#*:}" || build_failed "${build%:*}"
    fi
  done
  BUILDS=("${left[@]}")
}

# build_progress ELAPSED: one line
build_progress() {
  local rust go remaining=$((ESTIMATES[build] - $1))
  rust=$(tail -c 600 "$LOGS/rust.log" | tr '\r' '\n' | grep -oE '[0-9]+/[0-9]+: .*' | tail -n 1 | sed 's/ *$//' || true)
  go=$(grep -oE '[0-9]+ of about [0-9]+ packages' "$LOGS/kubernetes.log" 2> /dev/null | tail -n 1 || true)
  ((remaining > 0)) || remaining=30
  printf 'building for %s, %s to go; crates %s%s\n' "$(minutes "$1")" \
    "$(minutes $((remaining + $(seconds_left_after "$CURRENT"))))" "${rust:-are being downloaded}" "${go:+; Kubernetes $go}"
}

# build_failed NAME
build_failed() {
  [[ ! -t 1 ]] || printf '\r\e[K'
  tr '\r' '\n' < "$LOGS/$1.log" | grep -v '^ *Building \[' | tail -n 25 >&2
  if grep -q 'No space left on device' "$LOGS/$1.log"; then
    echo "The disk is full: make room in $TARGET, or set CARGO_TARGET_DIR to a folder on another disk." >&2
  elif grep -qE 'failed to download|Could not resolve host|spurious network error' "$LOGS/$1.log"; then
    echo "Crates could not be downloaded: check the network, and cargo's settings where a proxy or mirror is needed." >&2
  fi
  end_running
  die "the build of $1 failed; its last words are above, all of them in $LOGS/$1.log." \
    "What was built so far is kept, so the next start goes on from there."
}

# Ten seconds to end, then by force.
end_running() {
  local pid signal deadline=$((SECONDS + 10))
  for signal in TERM KILL; do
    for pid in "${RUNNING[@]}"; do kill -"$signal" -- "-$pid" 2> /dev/null || true; done
    while ((SECONDS < deadline)) && [[ -n $(jobs -pr) ]]; do sleep 0.2; done
  done
}

# stop CODE: on a signal
stop() {
  trap '' HUP INT TERM
  echo
  say "stopping"
  end_running
  if [[ -n $STARTED_CLUSTER ]]; then
    "$CLUSTER" down
  elif ! uses_own_cluster && "$CLUSTER" status &> /dev/null; then
    say "the cluster was up before, so it stays; \`make cluster-down\` ends it"
  fi
  say "stopped; what was built is kept, so the next start goes on from there"
  exit "$1"
}
