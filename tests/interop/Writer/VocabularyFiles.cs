using System.Text.Json;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Text;
using Coppice.Weights;

namespace Coppice.Interop;

/// <summary>A GGUF of a vocabulary of each kind that llama.cpp cuts texts with, around a model of next to no numbers, and what Coppice makes of every line by the vocabulary that it reads back from there.</summary>
static class VocabularyFiles
{
    /// <summary>Writes OUT/vocabularies/NAME.gguf and NAME.json.</summary>
    public static string[] Write(string output, IReadOnlyList<string> lines)
    {
        string folder = Path.Combine(output, "vocabularies"), pieces = Path.Combine(output, "sentencepiece"), types = Path.Combine(output, "types");
        Directory.CreateDirectory(folder);
        (string Name, string Tokenizer)[] made = [("wordpiece", Path.Combine(types, "bert")), ("unigram", Path.Combine(pieces, "smart.model")), ("spm", Path.Combine(types, "llama2"))];
        foreach ((string name, string source) in made)
        {
            string file = Path.Combine(folder, name + ".gguf");
            Tokenizer tokenizer = Tokenizer.Load(source);
            new LanguageModel(ModelOf(tokenizer), tokenizer, name).SaveGguf(file);
            Tokenizer read = LanguageModel.Load(file).Tokenizer;
            using FileStream stream = File.Create(Path.ChangeExtension(file, ".json"));
            JsonSerializer.Serialize(stream, lines.Select(line => read.Encode(line)).ToArray(), JsonSerializerOptions.Web);
        }
        return [.. made.Select(one => one.Name)];
    }

    static Model ModelOf(Tokenizer tokenizer) => tokenizer.Kind == "WordPiece"
        ? new EncoderModel(new EncoderConfig { Family = "bert", Task = EncoderTask.Embedding, HiddenSize = 32, IntermediateSize = 32, LayerCount = 1, HeadCount = 1, VocabularySize = tokenizer.Count, ContextLength = 64, TypeCount = 2 }, Matrix, Vector)
        : new DecoderModel(new DecoderConfig { HiddenSize = 32, IntermediateSize = 32, LayerCount = 1, HeadCount = 1, KeyValueHeadCount = 1, HeadWidth = 32, VocabularySize = tokenizer.Count, ContextLength = 64 }, Matrix, Vector);

    static Weight Matrix(string name, Shape shape) => new DenseWeight(new Tensor(shape));

    static Tensor Vector(string name, Shape shape) => new(shape);
}
