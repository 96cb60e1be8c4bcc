#!/usr/bin/env bash
# What federated fine-tuning of grove costs in bytes and reaches in loss, by codec: bench/federation.sh > docs/results/grove-federation.md
set -euo pipefail
cd "$(dirname "$0")/.."
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
dotnet build src/Coppice.Cli -c Release > /dev/null
echo "# Federated fine-tuning of the default model, by codec"
echo
echo "\`bench/federation.sh\`: five clients, one an assembly's documentation, three rounds of four local steps of 8 x 256 tokens at a constant rate of 3e-4, seed 1. The loss before the arrow is that of the shared model on the clients' held-out text, weighted by their samples; the one after it is that of each client's own model after its local steps."
for codec in identity float16 int8 int8-feedback; do
  printf '\n## %s\n\n```text\n' "$codec"
  dotnet src/Coppice.Cli/bin/Release/net10.0/Coppice.Cli.dll federate simulate grove --rounds 3 --local-steps 4 --codec "$codec" -o "$out/$codec" 2>&1 | grep -v wrote
  printf '```\n'
done
