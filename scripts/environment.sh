# Sourced by the other scripts: a virtual environment in .venv with labelloop and all that a demo, or a test, needs; made once.
cd "$(dirname "$0")/.."

python_to_use() {
    for candidate in python3.13 python3.12 python3.11 python3; do
        # a shim of pyenv is found, and complains, even where its Python is not installed
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.11 or newer was found" >&2
    echo " hint: install one, for example: apt-get install python3" >&2
    return 2
}

make_environment() {
    base=$(python_to_use)
    if ! "$base" -c 'import ensurepip' 2>/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv # Debian ships venv apart
    fi
    "$base" -m venv .venv
    awk '/^[a-z0-9]/ { ours = /^uv==/ } ours' labelloop.lock >.venv/uv.txt
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt
}

# The very files of the lock, and labelloop itself built with what the lock brings, for the Python that is given.
install_locked() {
    .venv/bin/uv pip install --quiet --compile-bytecode --python "$1" --require-hashes --requirement labelloop.lock
    .venv/bin/uv pip install --quiet --python "$1" --no-deps --no-build-isolation --editable .
}

install() {
    made=.venv/made-$(cat pyproject.toml labelloop.lock | cksum | tr ' ' '-')-$1
    [ -e "$made" ] && return
    echo "installing labelloop into .venv ..." >&2
    [ -x .venv/bin/uv ] || make_environment
    case "$1" in
        demo) .venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --editable '.[demo]' ;;
        test)
            install_locked .venv/bin/python
            # pip, not uv: it may find a build for CPUs on this machine, where uv fetches one for GPUs
            .venv/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
            ;;
    esac
    touch "$made"
}

start_postgres() {
    [ -n "${LABELLOOP_TEST_POSTGRES:-}" ] && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    if ! command -v pg_ctlcluster >/dev/null; then
        echo "installing PostgreSQL for the tests ..." >&2
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null
    fi
    cluster=$(pg_lsclusters -h | head -1)
    version=$(echo "$cluster" | awk '{print $1}') name=$(echo "$cluster" | awk '{print $2}')
    pg_ctlcluster "$version" "$name" start 2>/dev/null || true
    su postgres -c "psql -qc \"CREATE ROLE labelloop SUPERUSER LOGIN PASSWORD 'labelloop'\"" 2>/dev/null || true
    LABELLOOP_TEST_POSTGRES=postgresql+psycopg://labelloop:labelloop@127.0.0.1/postgres
    export LABELLOOP_TEST_POSTGRES
}
