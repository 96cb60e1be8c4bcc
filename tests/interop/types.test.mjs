// Hugging Face's Rust library reads a tokenizer of each type, as we wrote it back, and gives our ids for every line of mixed scripts.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, test } from "node:test";
import { at, readJson, reference } from "./reference.mjs";

const { Tokenizer } = createRequire(import.meta.url)("@anush008/tokenizers-linux-x64-gnu");
const lines = readJson("types", "lines.json");
const shown = (line, index) => `line ${index}: ${JSON.stringify(line)}`;

for (const name of reference.tokenizerTypes)
  describe(name, () => {
    const tokenizer = Tokenizer.fromFile(at("types", name, "tokenizer.json"));
    const ours = readJson("types", name, "ids.json");

    test("the same ids for every line", async () => {
      for (const [index, line] of lines.entries())
        assert.deepEqual([...(await tokenizer.encode(line, null, { addSpecialTokens: false })).getIds()], ours[index].ids, shown(line, index));
    });

    test("the same tokens around two texts", async () => {
      for (const [index, line] of lines.slice(0, 1000).entries()) {
        const pair = await tokenizer.encode(line, lines[index + 1], { addSpecialTokens: true });
        assert.deepEqual([...pair.getIds()], ours[index].forModel.ids, shown(line, index));
        assert.deepEqual([...pair.getTypeIds()], ours[index].forModel.typeIds, shown(line, index));
      }
    });

    test("ids read back as the same text", async () => {
      for (const [index, line] of lines.entries())
        assert.equal(await tokenizer.decode(ours[index].ids, true), ours[index].text, shown(line, index));
    });
  });
