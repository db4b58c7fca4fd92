#!/usr/bin/env bash
# Make this machine a node of the mesh: bootstrap.sh --help
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=
prefix=/opt/aurora
package=
registry=
declare -A given=()
dry_run=
uninstall=

usage() {
    cat <<'TEXT'
Make this machine a node of the mesh: install the agent, register, and keep it running.

  sudo ./bootstrap.sh --registry http://10.0.0.1:9999
  sudo ./bootstrap.sh --registry http://10.0.0.1:9999 --name vengeance --vpn-ip 10.0.0.4 --site home
  sudo ./bootstrap.sh --uninstall

  --registry URL      where the registry is; needed the first time
  --name NAME         of this node (default: the host's name)
  --role ROLE         such as compute or lead (default: compute)
  --vpn-ip ADDRESS    on the VPN (default: that of the first wg* or tailscale* interface)
  --public-ip ADDRESS, --site NAME, --environment NAME, --cost-per-hour USD,
  --event-bus URL, --heartbeat-interval DURATION, --leave-on-stop true|false
                      as in deploy/systemd/agent.env
  --package WHAT      a wheel, a source directory, or a requirement for pip such as
                      aurora-node-registry==0.1.0 (default: the checkout that this script lies in)
  --prefix DIR        where to install (default: /opt/aurora)
  --root DIR          put everything below this directory, and leave systemd alone: to try it out
  --dry-run           say what would be done, and do nothing
  --uninstall         stop the agent and remove what was installed; the node stays registered until it is forgotten
                      or deregistered

Run it again to upgrade, or after a failure: what is right already is left as it is, and so are the settings in
/etc/aurora/agent.env; edit them there.
TEXT
}

fail() {
    echo "bootstrap.sh: $1" >&2
    exit "${2:-1}"
}

say() { echo "bootstrap.sh: $*"; }

# Do it, or say so.
run() {
    if [[ -n $dry_run ]]; then
        echo "would run: $*"
    else
        "$@"
    fi
}

# Put the text $3 into the file $2 with the mode $1, if that changes it.
place() {
    local mode=$1 path=$2 wanted=$3
    if [[ -f $path && $(cat "$path") == "$wanted" ]]; then
        return
    fi
    changed=yes
    if [[ -n $dry_run ]]; then
        echo "would write: $path"
        return
    fi
    mkdir -p "$(dirname "$path")"
    # Not readable by others from its first byte on.
    (umask 077 && printf '%s\n' "$wanted" >"$path.new")
    chmod "$mode" "$path.new"
    mv "$path.new" "$path"
    say "wrote $path"
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is needed. Install one (apt-get install python3 python3-venv), or name it: PYTHON=..."
}

# The first address of a VPN's interface; nothing where there is none.
find_vpn_ip() {
    command -v ip >/dev/null || return 0
    ip -oneline addr show up scope global |
        awk '$2 ~ /^(wg|tailscale)/ && $3 ~ /^inet6?$/ {sub("/.*", "", $4); print $4; exit}'
}

while (($#)); do
    case $1 in
        --help | -h) usage; exit 0 ;;
        --dry-run) dry_run=yes; shift; continue ;;
        --uninstall) uninstall=yes; shift; continue ;;
    esac
    option=$1
    if [[ $option == --*=* ]]; then
        value=${option#*=}
        option=${option%%=*}
        shift
    else
        (($# > 1)) || fail "$option: unknown, or without its value; see --help" 2
        value=$2
        shift 2
    fi
    [[ $value != *$'\n'* ]] || fail "$option: a value is one line" 2
    case $option in
        --registry) registry=$value ;;
        --name) given[AURORA_NODE_NAME]=$value ;;
        --role) given[AURORA_ROLE]=$value ;;
        --vpn-ip) given[AURORA_VPN_IP]=$value ;;
        --public-ip) given[AURORA_PUBLIC_IP]=$value ;;
        --site) given[AURORA_SITE]=$value ;;
        --environment) given[AURORA_ENVIRONMENT]=$value ;;
        --cost-per-hour) given[AURORA_COST_PER_HOUR]=$value ;;
        --event-bus) given[AURORA_EVENT_BUS]=$value ;;
        --heartbeat-interval) given[AURORA_HEARTBEAT_INTERVAL]=$value ;;
        --leave-on-stop) given[AURORA_LEAVE_ON_STOP]=$value ;;
        --package) package=$value ;;
        --prefix) prefix=$value ;;
        --root) root=${value%/} ;;
        *) fail "$option: unknown; see --help" 2 ;;
    esac
done

[[ $prefix == /*[!/] ]] || fail "--prefix: expected an absolute path below /, got $prefix" 2
[[ -z $root || $root == /* ]] || fail "--root: expected an absolute path, got $root" 2
if [[ -z $root && -z $dry_run && $EUID -ne 0 ]]; then
    fail "run it as root (sudo), or try it with --dry-run or --root DIR"
fi

home=$root$prefix
settings=$root/etc/aurora/agent.env
unit=$root/etc/systemd/system/aurora-agent.service
hook=$root/usr/lib/systemd/system-sleep/aurora-agent-sleep
mark=$home/.aurora-agent # what --uninstall may remove as a whole

# Whether systemd runs this machine, and is to be told.
under_systemd() { [[ -z $root && -d /run/systemd/system ]]; }

if [[ -n $uninstall ]]; then
    if under_systemd && [[ -f $unit ]]; then
        run systemctl disable --now aurora-agent.service
    fi
    run rm -f "$unit" "$hook" "$settings"
    if [[ -f $mark ]]; then
        run rm -rf "$home"
    elif [[ -e $home ]]; then
        say "$home was not made by this script: it stays"
    fi
    if under_systemd; then
        run systemctl daemon-reload
    fi
    say "the agent is gone from this machine"
    exit 0
fi

# What is not to be asked twice is asked before anything is changed.
if [[ ! -f $settings ]]; then
    [[ $registry == http://?* || $registry == https://?* ]] ||
        fail "--registry: expected the registry's URL, such as http://10.0.0.1:9999, got ${registry:-nothing}" 2
    if [[ -z ${given[AURORA_VPN_IP]:-} ]]; then
        given[AURORA_VPN_IP]=$(find_vpn_ip)
        [[ -n ${given[AURORA_VPN_IP]} ]] ||
            fail "--vpn-ip: there is no wg* or tailscale* interface that is up; say the address that others reach this node by" 2
    fi
    given[AURORA_REGISTRY]=$registry
    : "${given[AURORA_NODE_NAME]:=$(uname -n)}" "${given[AURORA_ROLE]:=compute}"
fi
if [[ -z $package ]]; then
    package=$(dirname "$here")
    [[ -f $package/pyproject.toml ]] || fail "--package: there is no checkout around this script; name a wheel" 2
fi
case $package in
    *.whl) [[ -f $package ]] || fail "--package: there is no file $package" 2 ;;
    */*) [[ -f $package/pyproject.toml ]] || fail "--package: $package is neither a wheel nor a source directory" 2 ;;
esac

# Whether a running agent has to be started anew.
changed=
python=$(find_python)
if [[ -e $home && ! -f $mark && -n $(ls -A "$home") ]]; then
    fail "$home is there and was not made by this script: choose another --prefix, or move it away"
fi
if [[ ! -x $home/bin/python ]]; then
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python has no venv module: apt-get install python3-venv, and try again"
    run mkdir -p "$home"
    run touch "$mark"
    run "$python" -m venv "$home"
fi

# A wheel that is the one installed already is not installed again; a checkout always is, since it may have changed.
stamp=$package
if [[ -f $package ]]; then
    stamp=$(sha256sum "$package" | cut -d' ' -f1)
fi
if [[ -d $package || ! -x $home/bin/aurora-agent || $(cat "$mark" 2>/dev/null) != "$stamp" ]]; then
    constraints=()
    again=()
    if [[ $package == *.whl ]]; then
        # pip would keep what is installed if it has the same version, whatever else is new in the wheel.
        again=(--force-reinstall)
    fi
    if [[ -f $(dirname "$here")/constraints.txt ]]; then
        constraints=(--constraint "$(dirname "$here")/constraints.txt")
    fi
    run "$home/bin/python" -m pip install --quiet --disable-pip-version-check --no-cache-dir --upgrade \
        "${again[@]}" "${constraints[@]}" "$package"
    if [[ -z $dry_run ]]; then
        printf '%s\n' "$stamp" >"$mark"
        say "installed $package into $home"
    fi
    changed=yes
fi

if [[ -f $settings ]]; then
    say "$settings is kept as it is"
else
    lines=$(for name in "${!given[@]}"; do echo "$name=${given[$name]}"; done | sort)
    place 640 "$settings" "# What the agent says of this node; deploy/systemd/agent.env has every line there is."$'\n'"$lines"
fi
place 644 "$unit" "$(sed "s#/opt/aurora/#$prefix/#" "$here/systemd/aurora-agent.service")"
place 755 "$hook" "$(sed "s#:-/opt/aurora}#:-$prefix}#" "$here/systemd/aurora-agent-sleep")"

if [[ -n $dry_run ]]; then
    say "nothing was done"
    exit 0
fi

# Once, in front of whoever runs this, so that a wrong address or name is seen now and not in a log.
while IFS= read -r line || [[ -n $line ]]; do
    if [[ $line == AURORA_*=* ]]; then
        export "${line%%=*}=${line#*=}"
    fi
done <"$settings"
"$home/bin/aurora-agent" --once ||
    fail "the agent could not register: correct $settings, and run this again (or: $home/bin/aurora-agent --once)"
say "$AURORA_NODE_NAME is registered at $AURORA_REGISTRY"

if under_systemd; then
    systemctl daemon-reload
    systemctl enable --quiet aurora-agent.service
    if [[ -n $changed ]] || ! systemctl is-active --quiet aurora-agent.service; then
        systemctl restart aurora-agent.service
    fi
    say "the agent runs: journalctl -u aurora-agent"
else
    say "systemd does not run here: start the agent by your own means, with the variables in $settings:"
    say "  env \$(grep -v '^#' $settings | xargs) $home/bin/aurora-agent"
fi
