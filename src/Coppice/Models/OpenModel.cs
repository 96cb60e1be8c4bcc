using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Models;

/// <summary>A model whose matrices stay in their file and are read when asked for: for converting and inspecting, where each is wanted once. Products with them are slow.</summary>
public sealed class OpenModel : IDisposable
{
    readonly ICheckpoint file;

    OpenModel(LanguageModel language, ICheckpoint file) => (Language, this.file) = (language, file);

    /// <summary>The model; usable until this is disposed.</summary>
    public LanguageModel Language { get; }

    /// <summary>What it was opened from.</summary>
    public ICheckpoint Checkpoint => file;

    /// <summary>Opens a Hugging Face folder, a .gguf or llama2.c's .bin beside its tokenizer.</summary>
    /// <exception cref="CoppiceException">What is there cannot be read as a model; the message names file, tensor and reason.</exception>
    public static OpenModel Open(string path)
    {
        ICheckpoint? file = null;
        try
        {
            if (Directory.Exists(path))
                return new OpenModel(LanguageModel.Paired(SideBySide.Read(() => ModelFolder.Open(path, out file), () => Tokenizer.Load(path)), path), file!);
            if (!File.Exists(path))
                throw new CoppiceException($"{path}: there is no such file or folder");
            switch (Path.GetExtension(path).ToLowerInvariant())
            {
                case ".gguf":
                    Gguf gguf = Gguf.Open(path, WeightReading.OnDemand);
                    file = gguf;
                    return new OpenModel(LanguageModel.Paired(ModelGguf.Read(gguf, WeightReading.OnDemand), path), file);
                case ".bin":
                    DecoderModel plain = DecoderLlama2C.Open(path, out file);
                    return new OpenModel(LanguageModel.Paired(plain, LanguageModel.Beside(path, plain.VocabularySize), path), file);
                default:
                    throw LanguageModel.Unknown(path);
            }
        }
        catch
        {
            file?.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}
