namespace Coppice.Interop;

/// <summary>reference.json.</summary>
/// <param name="Folder">The Hugging Face folder with tokenizer.json.</param>
/// <param name="VocabularySize">Ids of the model in it.</param>
/// <param name="Lines">Texts with their ids.</param>
/// <param name="Runs">Greedy texts with their logits.</param>
/// <param name="Onnx">Models as ONNX, each with a text and its logits.</param>
/// <param name="Families">Texts with their logits of a small random model of each architecture.</param>
/// <param name="Embedded">Embeddings of encoders.</param>
/// <param name="TokenizerTypes">Folders under "types", each a tokenizer of another type.</param>
/// <param name="SentencePiece">Models under "sentencepiece".</param>
/// <param name="Vocabularies">GGUF files under "vocabularies".</param>
sealed record Reference(string Folder, int VocabularySize, Line[] Lines, Run[] Runs, OnnxRun[] Onnx, Run[] Families, Embedded[] Embedded, string[] TokenizerTypes, string[] SentencePiece, string[] Vocabularies);

/// <summary>A text as Coppice encodes it.</summary>
/// <param name="Text">Any characters, no lone surrogate.</param>
/// <param name="Ids">Markers such as &lt;|endoftext|> read as plain text.</param>
/// <param name="MarkedIds">Markers read as control tokens.</param>
sealed record Line(string Text, int[] Ids, int[] MarkedIds);
