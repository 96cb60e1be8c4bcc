// What Writer left in the folder $COPPICE_INTEROP.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env.COPPICE_INTEROP;
if (!folder)
  throw new Error("COPPICE_INTEROP is not set: it names the folder that Writer wrote; tests/interop/run does both");

export const at = (...names) => join(folder, ...names);
export const readJson = (...names) => JSON.parse(readFileSync(at(...names), "utf8"));
export const reference = readJson("reference.json");

/** The logits that chose each token of a run's greedy text, as Coppice computed them. */
export function logitsOf(run) {
  const bytes = readFileSync(at(run.logits));
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const vocabulary = all.length / run.greedy.length;
  return run.greedy.map((_, step) => all.subarray(step * vocabulary, (step + 1) * vocabulary));
}

if (reference.lines.length < 2000 || reference.runs.length === 0)
  throw new Error(`reference.json holds ${reference.lines.length} texts and ${reference.runs.length} runs: too few to compare anything`);
