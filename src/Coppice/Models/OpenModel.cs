using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Text;

namespace Coppice.Models;

/// <summary>A model whose matrices stay in their file and are read row by row when asked for: for converting, where each is wanted once. Products with them are slow.</summary>
public sealed class OpenModel : IDisposable
{
    readonly IDisposable file;

    OpenModel(LanguageModel language, IDisposable file) => (Language, this.file) = (language, file);

    /// <summary>The model; usable until this is disposed.</summary>
    public LanguageModel Language { get; }

    /// <summary>Opens a Hugging Face folder or a .gguf; matrices of 16 or 32 bits a number stay there, others are read.</summary>
    /// <exception cref="CoppiceException">What is there cannot be read as a model; the message names file, tensor and reason.</exception>
    public static OpenModel Open(string path)
    {
        ICheckpoint? file = null;
        try
        {
            if (Directory.Exists(path))
                return new OpenModel(LanguageModel.Paired(DecoderFolder.Open(path, out file), Tokenizer.Load(path), path), file);
            if (!CanOpen(path))
                throw new CoppiceException($"{path}: is no model that can be left in its file; wanted a folder with config.json or a .gguf");
            Gguf gguf = Gguf.Open(path);
            file = gguf;
            (DecoderModel model, Tokenizer tokenizer) = DecoderGguf.Read(gguf, WeightReading.OnDemand);
            return new OpenModel(LanguageModel.Paired(model, tokenizer, path), file);
        }
        catch
        {
            file?.Dispose();
            throw;
        }
    }

    /// <summary>Whether a path looks like one that <see cref="Open"/> takes.</summary>
    public static bool CanOpen(string path) => Directory.Exists(path) || File.Exists(path) && Path.GetExtension(path).Equals(".gguf", StringComparison.OrdinalIgnoreCase);

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}
