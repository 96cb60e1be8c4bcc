using Coppice.Text;

namespace Coppice.Formats;

/// <summary>Writes tokenizers.</summary>
public static class TokenizerFiles
{
    /// <summary>Writes a tokenizer's files into a folder, each whole or not at all. <see cref="Tokenizer.Load"/> reads them back.</summary>
    /// <exception cref="Tensors.CoppiceException">A file cannot be written.</exception>
    public static void Save(this Tokenizer tokenizer, string folder)
    {
        Directory.CreateDirectory(folder);
        foreach ((string name, Action<Stream> write) in tokenizer.Files)
            AtomicFile.Write(Path.Combine(folder, name), write);
    }
}
