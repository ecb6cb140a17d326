#!/usr/bin/env bash
# Installs what the tests with a real Active Directory need, on Debian or Ubuntu: a Samba domain controller, OpenLDAP's
# server and tools, about 70 MB. Starts nothing. Does nothing if all of it is there.
set -euo pipefail

have() {
  command -v samba samba-tool ldbmodify ldapsearch openssl python3 zstd >/dev/null &&
    [[ -x /usr/sbin/slapd && -e /usr/share/samba/setup/ad-schema ]]
}

have && exit 0
((EUID == 0)) || { echo 'run as root to install samba and slapd'; exit 1; }

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
# samba-ad-provision holds the schema of Windows, and nothing that is installed here depends on it.
apt_get install --yes --no-install-recommends \
  ldap-utils ldb-tools openssl python3 samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules \
  slapd winbind zstd
have || { echo 'something is still missing'; exit 1; }
