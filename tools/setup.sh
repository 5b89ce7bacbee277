#!/bin/sh
# Makes the virtual environment .venv, and gets the system packages that the kit measures with. Knows Debian's package
# names, interpreters, pip and what an interrupted run leaves behind; knows nothing of the kit itself.
#
#   usage: sh tools/setup.sh [core | instructor | dev]       which requirements/*.txt; core when nothing is said
#          PYTHON=/path/to/python3 sh tools/setup.sh         with this interpreter
#
# Exit codes: 0 ready (the last line may still warn) · 2 cannot be set up; the last line says what to type.
#
# What stands in .venv/.setup: `python`, the tree and interpreter it was made with; `core` and the like, the checksums of
# the files it was installed from; `unfinished` while something is being changed: then the next run starts afresh;
# `not_had`, system packages that could not be installed, so that not every run tries again.
# shellcheck disable=SC2086 # $missing is a list of package names, split where it is used
set -eu

# Settings of a person's own shell that send packages elsewhere, or change what an interpreter is. What says where
# packages come from (PIP_INDEX_URL, PIP_FIND_LINKS, PIP_CERT, proxies) stays.
unset CDPATH GREP_OPTIONS PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONWARNINGS PYTHONOPTIMIZE PYTHONDONTWRITEBYTECODE \
    PYTHONPYCACHEPREFIX PYTHONPLATLIBDIR VIRTUAL_ENV PIP_REQUIRE_VIRTUALENV PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON \
    PIP_CONSTRAINT PIP_REQUIREMENT PIP_EDITABLE PIP_NO_DEPS PIP_DRY_RUN PIP_NO_BINARY PIP_REQUIRE_HASHES
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 # a pip.conf may say `user = true`; the environment wins

cd "$(dirname "$0")/.."
root=$(pwd -P)
level=${1:-core}
state=.venv/.setup
libseccomp=libseccomp2
log=

say() { printf 'setup: %s\n' "$*"; }
warn() { printf 'setup: %s\n' "$*" >&2; }
die() {
    warn "$*"
    exit 2
}

main() {
    [ -f "requirements/$level.txt" ] || die "there is no requirements/$level.txt; type: sh tools/setup.sh core"
    missing=$(missing_system_packages)
    if ready && [ "$missing" = "$(known not_had)" ]; then
        warn_of_missing
        return
    fi
    trap 'rm -f "$log"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' HUP TERM
    log=$(mktemp)
    lock
    if ! ready; then
        say "making .venv ready for $level; the first time takes about half a minute"
    fi
    get_system_packages
    ready || build
    [ ! -w "$state" ] || printf '%s' "$missing" >"$state/not_had"
    warn_of_missing
}

# --- what is there already -------------------------------------------------------------------------------------------

ready() { # cheap: one start of the interpreter, no pip
    [ ! -e "$state/unfinished" ] && usable && [ "$(known "$level")" = "$(inputs "$level")" ]
}

usable() { # the environment stands where it was made, and its interpreter still runs
    [ -x .venv/bin/python ] && [ "$(known python)" = "$(made_with .venv/bin/python)" ] || return 1
    [ -z "${PYTHON-}" ] || [ "$(made_with "$PYTHON")" = "$(known python)" ]
}

made_with() { # INTERPRETER: the tree, and the version and file of the interpreter below any environment or shim
    printf '%s\n' "$root"
    "$1" -I -S -c 'import os, sys
print("%d.%d" % sys.version_info[:2], os.path.realpath(sys._base_executable))' 2>/dev/null </dev/null || echo unusable
}

inputs() { cksum "requirements/$1.txt" pyproject.toml; }

known() { cat "$state/$1" 2>/dev/null || true; }

lock() { # two runs at once: the second waits; where flock is missing, it does not
    command -v flock >/dev/null 2>&1 || return 0
    { printf '' >>.setup.lock; } 2>/dev/null || not_ours .setup.lock
    exec 9>>.setup.lock
    flock -n 9 || {
        say "another set-up is running here; waiting for it"
        flock 9
    }
}

# --- system packages -------------------------------------------------------------------------------------------------

missing_system_packages() { # what the kit measures and isolates with
    found=
    command -v strace >/dev/null 2>&1 || found="$found strace"
    command -v bwrap >/dev/null 2>&1 || found="$found bubblewrap"
    for file in /lib/libseccomp.so.2 /lib64/libseccomp.so.2 /usr/lib/libseccomp.so.2 /usr/lib64/libseccomp.so.2 \
        /lib/*/libseccomp.so.2 /usr/lib/*/libseccomp.so.2; do
        [ ! -e "$file" ] || break
    done
    [ -e "$file" ] || found="$found $libseccomp"
    printf '%s' "${found# }"
}

get_system_packages() { # sets `missing` to what could not be had
    if [ -n "$missing" ] && [ "$missing" != "$(known not_had)" ] && may_apt; then
        apt_install $missing || true # the warning at the end says what to type
        missing=$(missing_system_packages)
    fi
}

warn_of_missing() {
    [ -z "$missing" ] ||
        warn "not installed: $missing (what needs it is reported as unmeasured or unprotected); type: $(cure $missing)"
}

may_apt() { # as root, or where sudo asks for no password; sets `sudo`
    command -v apt-get >/dev/null 2>&1 || return 1
    sudo=
    [ "$(id -u)" = 0 ] || { sudo='sudo -n' && sudo -n true >/dev/null 2>&1 </dev/null; }
}

apt_install() { # PACKAGE...
    say "installing $* with apt-get"
    apt_get install -y --no-install-recommends "$@" && return
    apt_get update || true # the lists of a bare system are missing or old; one broken list is no reason to give up
    apt_get install -y --no-install-recommends "$@" && return
    warn "apt-get could not install $*: $(grep -m 1 '^E:' "$log" || tail -n 1 "$log")"
    return 1
}

apt_get() { # waits for another apt, but not for ever; 9 is closed lest a service that starts should hold our lock
    $sudo env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=l apt-get -q -o DPkg::Lock::Timeout=120 \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@" \
        >"$log" 2>&1 </dev/null 9>&-
}

cure() { # PACKAGE...: what to type
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "your distribution's command that installs $*"
    elif [ "$(id -u)" = 0 ]; then
        echo "apt-get update && apt-get install -y $*"
    else
        echo "sudo apt-get install -y $*"
    fi
}

# --- the interpreter -------------------------------------------------------------------------------------------------

# Prints one line: kind, version, file. The kinds, best first: `full`; `far`, which another user cannot reach, and a
# submission graded by root runs as another user; `part`, which cannot make an environment alone; `far-part`; `old`.
probe='import os, sys
version = "%d.%d.%d" % sys.version_info[:3]
if sys.version_info < (3, 11):
    kind = "old"
else:
    import ssl, venv, zlib  # an interpreter built without them cannot install packages: as good as none
    file = os.path.realpath(sys._base_executable)
    folders = [file]
    while folders[-1] != os.path.dirname(folders[-1]):
        folders.append(os.path.dirname(folders[-1]))
    far = os.getuid() == 0 and not all(os.stat(folder).st_mode & 1 for folder in folders)
    try:
        import ensurepip
        ensurepip.version()
        kind = "far" if far else "full"
    except Exception:
        kind = "far-part" if far else "part"
    sys.executable = file
sys.stdout.write("%s %s %s\n" % (kind, version, sys.executable))'

choose_python() { # sets `kind`, `version` and `python` to the best there is; `kind` is empty where there is none
    kind='' version='' python=''
    if [ -n "${PYTHON-}" ]; then
        consider "$PYTHON"
        return
    fi
    # Every folder of PATH: the first name found may be a shim that refuses to run while a real one stands behind it.
    path=$PATH
    for name in python3.13 python3.12 python3.11 python3; do
        rest=$path:
        while [ -n "$rest" ]; do
            folder=${rest%%:*}
            rest=${rest#*:}
            [ ! -x "${folder:-.}/$name" ] || consider "${folder:-.}/$name"
            [ "$kind" != full ] || return 0
        done
    done
}

consider() { # INTERPRETER: keeps it when it is better than what was found before
    seen=$("$1" -I -c "$probe" 2>/dev/null </dev/null) || return 0
    seen_kind=${seen%% *}
    [ "$(rank "$seen_kind")" -lt "$(rank "$kind")" ] || return 0
    kind=$seen_kind
    seen=${seen#* }
    version=${seen%% *}
    python=${seen#* }
}

rank() {
    case $1 in full) echo 1 ;; part) echo 2 ;; far) echo 3 ;; far-part) echo 4 ;; old) echo 5 ;; *) echo 6 ;; esac
}

need_python() { # a usable interpreter, or the line that says how to get one
    choose_python
    if [ -z "$kind" ] && [ -z "${PYTHON-}" ] && may_apt && apt_install python3 python3-venv; then
        choose_python
    fi
    case ${PYTHON:+named-}$kind in
    named-) die "PYTHON=$PYTHON is no Python that runs; name one of version 3.11 or newer" ;;
    named-old) die "PYTHON=$PYTHON is Python $version; name one of version 3.11 or newer" ;;
    '') die "no Python was found; type: $(cure python3 python3-venv $missing) - then make again" ;;
    old) die "Python 3.11 or newer is needed, and $python is $version; $(newer_python)" ;;
    esac
    say "found Python $version, $python"
}

newer_python() {
    for newer in python3.13 python3.12 python3.11; do
        if apt-cache show "$newer" >/dev/null 2>&1; then
            echo "type: $(cure "$newer" "$newer-venv") - then make again"
            return
        fi
    done
    echo "install one, then type: make setup PYTHON=/path/to/python3"
}

# --- the environment -------------------------------------------------------------------------------------------------

build() { # from nothing when it is unfinished, moved, or its interpreter changed; else only what changed
    if [ -e "$state/unfinished" ] || ! usable; then
        need_python
        [ "$kind" = full ] || [ "$kind" = far ] || get_venv_package
        say "making .venv"
        rm -rf .venv 2>/dev/null || not_ours .venv
        mkdir -p "$state"
        printf '' >"$state/unfinished"
        make_environment || fail "$python could not make $root/.venv"
    else
        { printf '' >"$state/unfinished"; } 2>/dev/null || not_ours .venv
    fi
    say "installing the packages that requirements/$level.txt pins"
    pip install --require-hashes -r "requirements/$level.txt" >"$log" 2>&1 ||
        fail "pip could not install requirements/$level.txt; if the network was at fault, make again"
    say "installing the kit"
    # Apart from the rest, because an editable install has no hash; without build isolation, because pip would fetch
    # the build backend anew, without hashes.
    pip install --no-deps --no-build-isolation -e . >"$log" 2>&1 || fail "pip could not install the kit from $root"
    isolate .venv/bin/grade
    made_with .venv/bin/python >"$state/python"
    inputs "$level" >"$state/$level"
    inputs core >"$state/core" # each of the other files holds what core.txt holds
    rm "$state/unfinished"
}

isolate() { # SCRIPT: as pip starts it, PYTHONPATH leads to modules of somebody else's that are called as ours are
    [ -f "$1" ] || return 0
    sed '1s|^#!\(/.*/python[^ ]*\)$|#!\1 -I|' "$1" >"$1.new" && cat "$1.new" >"$1" && rm "$1.new" # it stays executable
}

not_ours() { # FILE: as after `sudo make`
    die "$root/$1 belongs to somebody else; type: sudo chown -R $(id -un) '$root'"
}

fail() { # MESSAGE: after what the failed command said
    cat "$log" >&2
    die "$* (its words are above)"
}

get_venv_package() { # Debian ships ensurepip apart; sets `kind` to full when it could be had
    case $python in
    "$(realpath /usr/bin/python3 2>/dev/null)") package=python3-venv ;;
    /usr/bin/*) package=python${version%.*}-venv ;;
    *) package= ;; # not a system package's interpreter
    esac
    if [ -n "$package" ] && may_apt && apt_install "$package"; then
        kind=full
    elif ! other_way >/dev/null; then
        [ -n "$package" ] ||
            die "$python has neither ensurepip nor pip; name another one: make setup PYTHON=/path/to/python3"
        die "$python cannot make a virtual environment; type: $(cure "$package" $missing) - then make again"
    fi
}

other_way() { # prints what can stand in for ensurepip
    if "$python" -I -m pip --python "$python" --version >/dev/null 2>&1; then # --python came with pip 22.3
        echo pip
    elif command -v virtualenv >/dev/null 2>&1; then
        echo virtualenv
    elif command -v uv >/dev/null 2>&1; then
        echo uv
    else
        return 1
    fi
}

make_environment() {
    if [ "$kind" = full ] || [ "$kind" = far ]; then
        "$python" -I -m venv .venv >"$log" 2>&1
        return
    fi
    case $(other_way) in
    pip) "$python" -I -m venv --without-pip .venv && "$python" -I -m pip --python .venv/bin/python install pip ;;
    virtualenv) virtualenv --python "$python" .venv ;;
    uv) "$python" -I -m venv --without-pip .venv && uv pip install --python .venv/bin/python pip ;;
    esac >"$log" 2>&1
}

pip() { .venv/bin/python -I -m pip --quiet "$@" </dev/null; }

main
