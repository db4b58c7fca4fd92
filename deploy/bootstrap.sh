#!/bin/sh
# Make this machine a node of the mesh: what http://REGISTRY/join does, for those who have a checkout at hand.
#   sudo deploy/bootstrap.sh --registry http://10.0.0.1:9999 --site home
#   sudo deploy/bootstrap.sh --registry http://10.0.0.1:9999 --uninstall
set -eu

registry=
expected=
for argument in "$@"; do
    case $argument in
        --registry=*) registry=${argument#*=} ;;
        *) [ -z "$expected" ] || registry=$argument ;;
    esac
    expected=
    [ "$argument" != --registry ] || expected=yes
done
case $registry in
    http://?* | https://?*) ;;
    *)
        echo "bootstrap.sh: --registry: expected the registry's URL, such as http://10.0.0.1:9999" >&2
        exit 2
        ;;
esac
script=$(curl -fsSL "${registry%/}/join") || {
    echo "bootstrap.sh: $registry does not answer: is it the registry's address?" >&2
    exit 1
}
printf '%s\n' "$script" | sh -s -- "$@"
