// What Writer left in the folder $COPPICE_INTEROP.
import { readFileSync } from "node:fs";
import { join } from "node:path";

const folder = process.env.COPPICE_INTEROP;
if (!folder)
  throw new Error("COPPICE_INTEROP is not set: it names the folder that Writer wrote; tests/interop/run does both");

export const at = (...names) => join(folder, ...names);
export const readJson = (...names) => JSON.parse(readFileSync(at(...names), "utf8"));
export const reference = readJson("reference.json");

/** Rows of a run's logits, as Coppice computed them: those that chose each token of its greedy text, or as many as asked for. */
export function logitsOf(run, rows = run.greedy.length) {
  const bytes = readFileSync(at(run.logits));
  const all = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const vocabulary = all.length / rows;
  return Array.from({ length: rows }, (_, row) => all.subarray(row * vocabulary, (row + 1) * vocabulary));
}

if (reference.lines.length < 2000 || reference.runs.length === 0)
  throw new Error(`reference.json holds ${reference.lines.length} texts and ${reference.runs.length} runs: too few to compare anything`);
