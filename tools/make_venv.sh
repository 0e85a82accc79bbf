#!/usr/bin/env bash
# tools/make_venv.sh FOLDER EXTRAS: a virtual environment with the package (editable) and the named extras of setup.py.
# Which Python: $PYTHON if set; otherwise, for extras that need ROS 2, the Python of a sourced ROS 2 (its packages stay
# visible), else a Python 3.11, for which ROS 2 wheels exist; for `lint`, any Python from 3.10 on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$1 extras=$2

fail() { printf 'error: %s\n' "$*" >&2; exit 2; }

runs() { "$1" -c "import ensurepip, sys, venv; sys.exit(not ($2))" >/dev/null 2>&1; }

first() { # first CONDITION NAME...: the first Python on the PATH that runs, makes environments, meets the condition
  local condition=$1 name path; shift
  for name in "$@"; do
    for path in $(type -aP "$name"); do # all of them: version managers leave commands that fail when called
      if runs "$path" "$condition"; then printf '%s\n' "$path"; return 0; fi
    done
  done
  return 1
}

sourced_ros() { # rclpy of an apt ROS or a sourced workspace, not of some active virtual environment
  "$1" -c 'import sys, rclpy; sys.exit(sys.prefix != sys.base_prefix)' >/dev/null 2>&1
}

system=()
supported='(3, 10) <= sys.version_info[:2] <= (3, 13)'
if [[ -n ${PYTHON:-} ]]; then
  python=$PYTHON
  runs "$python" "$supported" || fail "PYTHON=$PYTHON is not a Python 3.10 to 3.13 with venv: name another one."
  if sourced_ros "$python"; then system=(--system-site-packages); fi
elif [[ $extras == lint ]]; then
  python=$(first "$supported" python3 python3.11 python3.12 python3.13 python3.10) ||
    fail "no Python 3.10 to 3.13 with venv was found: install one (apt install python3-venv) or set PYTHON."
elif sourced_ros python3 && runs python3 "$supported"; then
  python=python3 system=(--system-site-packages)
else
  python=$(first 'sys.version_info[:2] == (3, 11)' python3.11 python3) ||
    fail "neither a sourced ROS 2 (source /opt/ros/<distro>/setup.bash) nor a Python 3.11 with venv, for which" \
      "ROS 2 wheels exist (apt install python3.11-venv), was found: provide one, or name it with PYTHON."
fi

if [[ ! -x $folder/bin/python ]]; then
  echo "$folder: new environment ($("$python" --version), ${system[*]:-isolated})"
  "$python" -m venv "${system[@]}" "$folder"
fi
"$folder/bin/python" tools/install.py "$extras" || fail "$folder is incomplete: see above, then run make again."
