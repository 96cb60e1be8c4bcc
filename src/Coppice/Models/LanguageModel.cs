using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Models;

/// <summary>A model, the tokenizer that it was trained with, and where both came from.</summary>
public sealed record LanguageModel(Model Model, Tokenizer Tokenizer, string Source)
{
    /// <summary>Reads a Hugging Face folder (config.json, safetensors, tokenizer.json), a .gguf, or llama2.c's .bin beside its tokenizer.</summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="tokenizer">A tokenizer's file or folder; without it, the model's own (llama2.c: tokenizer.bin or tokN.bin of the vocabulary's size beside it).</param>
    /// <exception cref="CoppiceException">What is there cannot be read as a model; the message names file, tensor and reason.</exception>
    public static LanguageModel Load(string path, string? tokenizer = null)
    {
        if (Directory.Exists(path))
            return Paired(SideBySide.Read(() => ModelFolder.Load(path), () => Tokenizer.Load(tokenizer ?? path)), path);
        if (!File.Exists(path))
            throw new CoppiceException($"{path}: there is no such file or folder");
        switch (Path.GetExtension(path).ToLowerInvariant())
        {
            case ".gguf":
                (Model gguf, Tokenizer own) = ModelGguf.Load(path);
                return Paired(gguf, tokenizer is null ? own : Tokenizer.Load(tokenizer), path);
            case ".bin":
                DecoderModel model = DecoderLlama2C.Load(path);
                return Paired(model, tokenizer is null ? Beside(path, model.VocabularySize) : Tokenizer.Load(tokenizer), path);
            default:
                throw Unknown(path);
        }
    }

    /// <summary>Writes a Hugging Face folder that <see cref="Load"/> and others read. Matrices that are float32 or in blocks are stored as <paramref name="dtype"/>, other kinds as they are. <paramref name="alongside"/> may add files of its own before the folder appears.</summary>
    /// <exception cref="CoppiceException">The folder holds something else, or the file system refused.</exception>
    public void Save(string folder, DType dtype = DType.F16, ExistingFolder existing = ExistingFolder.ReplaceOurs, Action<string>? alongside = null) =>
        AtomicFolder.Write(folder, existing, partial =>
        {
            ModelFolder.Save(Model, partial, dtype, Tokenizer.BosId, Tokenizer.EosId);
            Tokenizer.Save(partial);
            alongside?.Invoke(partial);
        });

    /// <summary>Writes a .gguf, each matrix in the type that holds its numbers exactly where GGUF has one, or all in <paramref name="type"/>; returns what had to be rounded.</summary>
    /// <exception cref="CoppiceException">A matrix does not fit its type, or the file system refused.</exception>
    public IReadOnlyList<GgufRounding> SaveGguf(string path, GgmlType? type = null, WorkerPool? pool = null) =>
        ModelGguf.Save(Model, Tokenizer, path, Path.GetFileNameWithoutExtension(path), type, pool);

    /// <summary>Writes llama2.c's .bin, all numbers as float32; its tokenizer has a file of its own.</summary>
    /// <exception cref="CoppiceException">llama2.c does not compute this model, or the file system refused.</exception>
    public void SaveLlama2C(string path) => DecoderLlama2C.Save(Model as DecoderModel ?? throw new CoppiceException($"{path}: llama2.c computes plain Llama models, and this is a {Model.Family}"), path);

    internal static CoppiceException Unknown(string path) => new($"{path}: is no model that we read; wanted a folder with config.json, a .gguf or a llama2.c .bin");

    internal static Tokenizer Beside(string model, int vocabulary)
    {
        string folder = Path.GetDirectoryName(Path.GetFullPath(model))!;
        string numbered = Path.Combine(folder, $"tok{vocabulary}.bin");
        return File.Exists(numbered) ? Tokenizer.Load(numbered) : Tokenizer.Load(folder);
    }

    internal static LanguageModel Paired((Model Model, Tokenizer Tokenizer) both, string source) => Paired(both.Model, both.Tokenizer, source);

    internal static LanguageModel Paired(Model model, Tokenizer tokenizer, string source) => tokenizer.Count <= model.VocabularySize
        ? new LanguageModel(model, tokenizer, source)
        : throw new CoppiceException($"{source}: the tokenizer has {tokenizer.Count:N0} tokens, the model's vocabulary {model.VocabularySize:N0}; they do not belong together");
}
