#!/bin/sh
# Writes requirements/{core,instructor,dev}.txt from pyproject.toml: every package that will be installed, one version of
# each, with the hashes of all its files. Knows uv; knows nothing of how the files are used (tools/setup.sh does).
#
#   usage: sh tools/pins.sh            keeps the versions pinned now, adds and drops what pyproject.toml asks for
#          sh tools/pins.sh --upgrade  takes the newest versions that pyproject.toml allows
#
# The files hold no index address: whoever installs uses the index that their own pip is set up with.
set -eu

UV=uv==0.13.9 # one version, so that a new run changes pins and not the look of the files

unset CDPATH
# uv's settings of this machine must not reach the files.
for name in $(env | sed -n 's/^\(UV_[A-Z_]*\)=.*/\1/p'); do
    case $name in UV_CACHE_DIR | UV_NATIVE_TLS | UV_SYSTEM_CERTS) ;; *) unset "$name" ;; esac
done
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM

echo "pins: installing $UV into a folder of its own"
python=.venv/bin/python
[ -x "$python" ] || python=python3
"$python" -m venv "$scratch/venv"
"$scratch/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$UV"

# The build backend is installed like everything else, because the kit itself is installed without build isolation.
"$python" -c 'import tomllib
with open("pyproject.toml", "rb") as file:
    print(*tomllib.load(file)["build-system"]["requires"], sep="\n")' >"$scratch/build.in"

compile() { # FILE [OPTION...]: versions already in FILE are kept
    file=$1
    shift
    "$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
        --no-annotate --output-file "$file" "$@" pyproject.toml "$scratch/build.in" >/dev/null
}

# All extras together first: a package that two files share has one version.
[ "${1-}" = --upgrade ] || cat requirements/*.txt >"$scratch/all.txt" 2>/dev/null || true
compile "$scratch/all.txt" --all-extras

for name in core instructor dev; do
    extra=
    [ "$name" = core ] || extra="--extra=$name"
    cp "$scratch/all.txt" "$scratch/$name.txt"
    compile "$scratch/$name.txt" $extra
    {
        echo "# The kit's dependencies${extra:+ with the extra \`$name\`}, pinned; made by \`make pins\` from pyproject.toml, not by hand."
        echo "# Install with: pip install --require-hashes -r requirements/$name.txt"
        cat "$scratch/$name.txt"
    } >"requirements/$name.txt"
    echo "pins: requirements/$name.txt, $(grep -c == "requirements/$name.txt") packages"
done
