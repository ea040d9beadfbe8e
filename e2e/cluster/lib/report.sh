# What the user reads: progress with the time since the start, errors that say what to do, bounded waits.
# shellcheck shell=bash

START=$EPOCHREALTIME

# seconds_since EPOCHREALTIME: with one decimal
seconds_since() {
  local microseconds=$((${EPOCHREALTIME/./} - ${1/./}))
  printf '%d.%d' $((microseconds / 1000000)) $((microseconds / 100000 % 10))
}

say() {
  printf '%6s s  %s\n' "$(seconds_since "$START")" "$*"
}

die() {
  printf '%s\n' "${0##*/}: $1" "${@:2}" >&2
  exit 1
}

# wait_until WHAT LOG COMMAND...: tries COMMAND ten times a second. When it never succeeds, says what was
# awaited and shows the end of LOG, which is where the reason stands.
wait_until() {
  local what=$1 log=$2 deadline=$((SECONDS + WAIT_SECONDS))
  shift 2
  until "$@" &> /dev/null; do
    if ((SECONDS >= deadline)); then
      printf '%s: gave up after %s s waiting for: %s\n' "${0##*/}" "$WAIT_SECONDS" "$what" >&2
      [[ ! -r $log ]] || { printf 'The last lines of %s:\n' "$log" && tail -n 15 "$log"; } >&2
      die "\`$CLUSTER_DIR/cluster logs\` lists all logs, \`$CLUSTER_DIR/cluster down\` clears what was started."
    fi
    sleep 0.1
  done
}
