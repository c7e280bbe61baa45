#!/bin/sh
# All measurements that need a GPU, in at most 8 minutes. DATA is a folder of words (Speech Commands).
#
#     sh benchmarks/gpu.sh DATA
#
# Writes benchmarks/results/gpu-*.json, for `python benchmarks/render.py`. PYTHON names another interpreter.
set -eu
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"
fail() { echo "benchmarks/gpu.sh: $1" >&2; exit 1; }

[ $# -eq 1 ] || fail "expected one argument, the folder of words to train on"
[ -d "$1" ] || fail "$1: no such folder; expected a folder of words to train on"
"$python" -c 'import torch' 2>/dev/null || fail "torch is not installed; pip install 'wordspot[train]'"
"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null \
    || fail "torch finds no GPU here; run it on a machine with one, with a build of torch for CUDA"

results=benchmarks/results
timeout 200 "$python" benchmarks/train_speed.py "$1" --device cuda --repeats 3 --json $results/gpu-train-speed.json \
    || fail "train_speed.py failed or took longer than 200 s; its output is above"
timeout 240 "$python" benchmarks/gpu_training.py "$1" --device cuda --seconds 8 --json $results/gpu-training.json \
    || fail "gpu_training.py failed or took longer than 240 s; its output is above"
n=$("$python" -c 'import torch; print(torch.cuda.device_count())')
[ "$n" -lt 2 ] || timeout 40 "$python" -m torch.distributed.run --standalone --nproc-per-node "$n" -m wordspot train "$1" \
    --words yes,no,up,down --out "$(mktemp -d)/run" --steps 50 --device cuda \
    || fail "training on $n GPUs failed or took longer than 40 s; its output is above"
echo "written: $results/gpu-train-speed.json $results/gpu-training.json"
