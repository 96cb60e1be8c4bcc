// docs/matrix.md from what the tests proved, a line a proof in $COPPICE_PROOFS:  node matrix.mjs write|check
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const page = fileURLToPath(new URL("../../docs/matrix.md", import.meta.url));
const proofs = readFileSync(process.env.COPPICE_PROOFS, "utf8").trim().split("\n").map(line => JSON.parse(line));

const columns = [...new Set(proofs.map(({ runtime, format, storage }) => `${runtime}\t${format}\t${storage}`))].sort();
const runtimes = [...new Set(columns.map(column => column.split("\t")[0]))];
const families = [...new Set(proofs.map(({ family }) => family))].sort();

const lines = [
  "# What runs where",
  "",
  "Families, how they were stored, and the programs that read what Coppice wrote and computed the same logits, within the tolerances of [interop.md](interop.md). `tests/interop/run` makes this page from what its tests proved, and fails where the page says anything else.",
];
for (const runtime of runtimes) {
  const own = columns.filter(column => column.startsWith(runtime + "\t"));
  const heads = own.map(column => column.split("\t").slice(1).join(" "));
  lines.push("", `## ${runtime}`, "", `| family | ${heads.join(" | ")} |`, `| --- |${" --- |".repeat(heads.length)}`);
  for (const family of families) {
    const cells = own.map(column => proofs.some(proof => proof.family === family && `${proof.runtime}\t${proof.format}\t${proof.storage}` === column) ? "yes" : "");
    if (cells.some(cell => cell))
      lines.push(`| ${family} | ${cells.join(" | ")} |`);
  }
}
const text = lines.join("\n") + "\n";

if (process.argv[2] === "write")
  writeFileSync(page, text);
else if (readFileSync(page, "utf8") !== text) {
  console.error("docs/matrix.md is not what the tests prove: COPPICE_PROOFS=FILE node tests/interop/matrix.mjs write");
  process.exit(1);
}
