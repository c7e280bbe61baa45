#!/usr/bin/env bash
# Run the steps of packaging/home-assistant/Dockerfile without a container engine: in a fresh virtual environment, with an empty folder
# instead of the image. Then start what CMD says and request its wake words with Wyoming's describe.
#   make home-assistant && packaging/check_steps.sh dist/home-assistant
# It does not check the image that FROM names, except that the Python used here (PYTHON, default python3.11) is at least as new.
set -euo pipefail
context=$(cd "${1:?expected the folder that 'make home-assistant' made}" && pwd)
python=${PYTHON:-python3.11}
command -v "$python" > /dev/null || python=python3

work=$(mktemp -d)
server=
cleanup() {
  if [ -n "$server" ]; then kill "$server" 2> /dev/null || true; wait "$server" 2> /dev/null || true; fi
  rm -rf "$work"
}
trap cleanup EXIT
"$python" -m venv "$work/venv"
mkdir "$work/image"
export PATH="$work/venv/bin:$PATH" HOME="$work" WORDSPOT_OPTIONS="$work/none" PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONPATH VIRTUAL_ENV
cd "$work/image"

copy() { # SOURCE... TARGET: patterns in the context, copied to the working folder
  local sources=("${@:1:$#-1}") pattern
  [ "${*: -1}" = ./ ] || { echo "COPY to ${*: -1}: only ./ is supported" >&2; exit 1; }
  for pattern in "${sources[@]}"; do (cd "$context" && cp -r $pattern "$work/image/"); done
}

start=()
while IFS= read -r line || [ -n "$line" ]; do
  case $line in '' | '#'*) continue ;; esac
  echo "step: $line"
  rest=${line#* }
  set -f; words=($rest); set +f
  case ${line%% *} in
    FROM)
      wanted=${rest#python:}; wanted=${wanted%%-*}
      python -c 'import sys; want = tuple(map(int, sys.argv[1].split("."))); sys.exit(sys.version_info[:2] < want)' "$wanted" \
        || { echo "$(python -V) is too old: FROM wants Python $wanted or newer; name one with PYTHON" >&2; exit 1; } ;;
    WORKDIR | EXPOSE) ;;
    COPY) copy "${words[@]}" ;;
    RUN) sh -e -c "$rest" ;;
    ENV) export "${words[@]}" ;;
    CMD) mapfile -t start < <(python -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\n")' "$rest") ;;
    *) echo "unknown step: $line" >&2; exit 1 ;;
  esac
done < "$context/Dockerfile"
[ "${#start[@]}" != 0 ] || { echo "the Dockerfile has no CMD" >&2; exit 1; }

free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
export WORDSPOT_HOST=127.0.0.1 WORDSPOT_PORT WORDSPOT_WYOMING_PORT
WORDSPOT_PORT=$(free_port)
WORDSPOT_WYOMING_PORT=$(free_port)
echo "start: ${start[*]}"
"${start[@]}" < /dev/null > "$work/log" 2>&1 &
server=$!
if ! python - "$WORDSPOT_WYOMING_PORT" <<'PYTHON'
import asyncio
import sys
import time

from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info


async def ask(port):
    until = time.monotonic() + 60
    while True:
        try:
            async with AsyncTcpClient("127.0.0.1", port, read_timeout=20) as client:
                await client.write_event(Describe().event())
                return Info.from_event(await client.read_event())
        except ConnectionError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(0.2)


words = [model.name for program in asyncio.run(ask(int(sys.argv[1]))).wake for model in program.models]
if not words:
    sys.exit("describe lists no wake words")
print("describe:", ", ".join(words))
PYTHON
then
  echo "the log of the server:" >&2
  cat "$work/log" >&2
  exit 1
fi
echo "all steps passed"
