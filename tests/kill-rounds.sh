#!/usr/bin/env bash
# SIGKILL under load: does everything hold that was answered? Arguments and variables as for power-cut.sh; needs nothing.
set -euo pipefail
exec "$(dirname "$0")/crash-rounds.sh" kill "$@"
