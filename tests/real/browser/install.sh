#!/usr/bin/env bash
# Installs a browser, on Debian or Ubuntu. Does nothing if it is there.
set -euo pipefail

have() {
  command -v chromium >/dev/null
}

have && exit 0
((EUID == 0)) || { echo 'run as root to install chromium'; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt_get() {
  apt-get -o DPkg::Lock::Timeout=300 -qq "$@" >/dev/null
}
apt_get update
apt_get install --yes --no-install-recommends chromium fonts-dejavu-core
have || { echo 'chromium is still missing'; exit 1; }
