#!/usr/bin/env bash
# Installs what the tests with real Kerberos need, on Debian or Ubuntu: a KDC, Apache with mod_auth_gssapi, curl and a
# library that shifts clocks. Starts nothing. Does nothing if all of it is there.
#
#   install.sh           everything
#   install.sh library   only what the feature `negotiate` is built with
set -euo pipefail

packages=(clang libclang-dev libkrb5-dev pkg-config)
have() {
  local needed=(clang krb5-config) found
  [[ ${1:-} == library ]] || needed+=(apache2 curl faketime kadmin.local kinit krb5kdc)
  for found in "${needed[@]}"; do
    command -v "$found" >/dev/null || return
  done
  [[ ${1:-} == library || -e /usr/lib/apache2/modules/mod_auth_gssapi.so ]]
}

export PATH=$PATH:/usr/sbin
have "$@" && exit 0
((EUID == 0)) || { echo 'run as root to install krb5, apache2 and what Rust needs to call Kerberos'; exit 1; }
[[ ${1:-} == library ]] ||
  packages+=(apache2 curl faketime krb5-admin-server krb5-kdc krb5-user libapache2-mod-auth-gssapi)

# Packages must not start their daemons: the tests run servers of their own.
policy=/usr/sbin/policy-rc.d
if [[ ! -e $policy ]]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt_get() {
  apt-get -o DPkg::Lock::Timeout=300 -qq "$@" >/dev/null
}
apt_get update
apt_get install --yes --no-install-recommends "${packages[@]}"
have "$@" || { echo 'something is still missing'; exit 1; }
