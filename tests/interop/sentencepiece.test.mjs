// SentencePiece's library reads its models as we do, line by line.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { SentencePieceProcessor } from "@sctg/sentencepiece-js";
import { at, readJson, reference } from "./reference.mjs";

const lines = readJson("types", "lines.json");

for (const name of reference.sentencePiece)
  describe(`${name}.model`, async () => {
    const library = new SentencePieceProcessor();
    await library.loadFromB64StringModel(readFileSync(at("sentencepiece", `${name}.model`)).toString("base64"));
    const ours = readJson("sentencepiece", `${name}.json`);

    test("the same ids for every line", () => {
      for (const [index, line] of lines.entries())
        assert.deepEqual([...library.encodeIds(line)], ours[index].ids, `line ${index}: ${JSON.stringify(line)}`);
    });
  });
