# The root file system: a minimal Debian with the README's prerequisites and this machine's access to registries.
# shellcheck shell=bash

# Debian packages that the README presupposes; enter.sh binds the toolchains.
PREREQUISITES=git,make,ca-certificates,python3
SUITE=$(. /etc/os-release && echo "${VERSION_CODENAME:?}")

make_root() {
  local mirror
  [[ -n $(debian_sources) ]] || apt-get update &> "$SCRATCH/apt.log" || true
  mirror=$(debian_sources | awk -v suite="$SUITE" '$3 == suite { print $2; exit }')
  [[ -n $mirror ]] || die "apt's configuration has no Debian mirror for $SUITE"
  # In namespaces, so that no mount remains when debootstrap is killed.
  unshare --mount --pid --fork --kill-child --mount-proc \
    debootstrap --variant=minbase --include="$PREREQUISITES" "$SUITE" "$ROOT" "$mirror" &> "$SCRATCH/debootstrap.log" || {
    tail -n 20 "$SCRATCH/debootstrap.log"
    die "debootstrap failed; its last lines are above."
  }
  debian_sources > "$ROOT/etc/apt/sources.list"
  apt-config dump --no-empty | grep -E '^Acquire::(Check|http|https|ftp|Retries|ForceIPv)' \
    > "$ROOT/etc/apt/apt.conf.d/90machine" || true
  copy_names
  copy_certificates
  copy_registry_settings
  install_rustup
}

# debian_sources: the machine's apt sources of this suite in the format of sources.list, without other vendors'
debian_sources() {
  # shellcheck disable=SC2016
  apt-get indextargets --format '$(ORIGIN) $(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk -v suite="$SUITE" '$1 == "Debian" && ($3 == suite || index($3, suite "-") == 1) { print "deb", $2, $3, $4 }'
}

copy_names() {
  cp --dereference /etc/resolv.conf /etc/hosts "$ROOT/etc/"
  echo fresh > "$ROOT/etc/hostname"
  echo "127.0.1.1 fresh" >> "$ROOT/etc/hosts"
}

# The certificates added to this machine, and the files that environment variables name. No private keys.
copy_certificates() {
  local variable file
  if [[ -d /usr/local/share/ca-certificates ]]; then
    cp --recursive --dereference /usr/local/share/ca-certificates "$ROOT/usr/local/share/"
    chroot "$ROOT" update-ca-certificates &> "$SCRATCH/certificates.log"
  fi
  for variable in $(passed_variables | grep -E 'CERT|_CA'); do
    file=${!variable}
    [[ ! -f $file ]] || install -D -m 644 "$file" "$ROOT$file"
  done
}

copy_registry_settings() {
  local cargo=${CARGO_HOME:-$HOME/.cargo}/config.toml
  [[ ! -e /etc/pip.conf ]] || grep -E '^ *(\[|(index-url|extra-index-url|trusted-host|cert|proxy|timeout) *=)' /etc/pip.conf \
    > "$ROOT/etc/pip.conf" || true
  mkdir -p "$ROOT/root/.cargo"
  [[ ! -e $cargo ]] || awk '
    /^\[/ { wanted = /^\[(source|registries|registry|http|net)[].]/ }
    wanted && !/token/' "$cargo" > "$ROOT/root/.cargo/config.toml"
}

# The state of ~/.cargo after rustup's installer: only the proxies, no registry cache, no installed programs.
install_rustup() {
  local bin=$ROOT/root/.cargo/bin proxy
  mkdir -p "$bin"
  cp --dereference "$RUSTUP" "$bin/rustup"
  for proxy in cargo cargo-clippy cargo-fmt clippy-driver rustc rustdoc rustfmt; do ln -s rustup "$bin/$proxy"; done
}

# passed_variables: names of the environment variables that configure access to registries, without credentials
passed_variables() {
  compgen -e | grep -E -e '^(https?|ftp|all|no)_proxy$' -e '^(HTTPS?|FTP|ALL|NO)_PROXY$' \
    -e '^(SSL_CERT_FILE|SSL_CERT_DIR|CURL_CA_BUNDLE|REQUESTS_CA_BUNDLE|GIT_SSL_CAINFO)$' \
    -e '^PIP_(CERT|INDEX_URL|EXTRA_INDEX_URL|TRUSTED_HOST|DEFAULT_TIMEOUT)$' \
    -e '^CARGO_(HTTP|NET|REGISTRY|REGISTRIES|SOURCE)_' -e '^RUSTUP_(DIST_SERVER|UPDATE_ROOT|AUTO_INSTALL)$' |
    grep -v -e '_TOKEN$' -e '_CREDENTIAL' || true
}
