// What was shown: a line a proof in the file $COPPICE_PROOFS, from which docs/matrix.md is made.
import { appendFileSync } from "node:fs";

/** Notes that a runtime read what Coppice wrote and computed the same. */
export function prove({ family, format, storage, runtime, farthest }) {
  if (process.env.COPPICE_PROOFS)
    appendFileSync(process.env.COPPICE_PROOFS, JSON.stringify({ family, format, storage, runtime, farthest: Number(farthest.toPrecision(2)) }) + "\n");
}
