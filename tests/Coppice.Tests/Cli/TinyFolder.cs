using Coppice.Formats;
using Coppice.Models;
using Coppice.Tests.Formats;
using Coppice.Text;
using Coppice.Training;
using Coppice.Weights;

namespace Coppice.Tests.Cli;

/// <summary>A small random model, its tokenizer and a text, in a folder of a test's own.</summary>
sealed class TinyFolder : IDisposable
{
    static readonly string[] Words = ["the", "cat", "sat", "on", "a", "mat", "dog", "flew", "over", "house", "and", "returns", "value.", "string"];

    readonly TemporaryFolder folder = new();

    public TinyFolder(int layers = 2)
    {
        Random random = new(5);
        File.WriteAllLines(Text, Enumerable.Range(0, 120).Select(_ => string.Join(' ', Enumerable.Range(0, 8 + random.Next(20)).Select(_ => Words[random.Next(Words.Length)]))));
        DecoderConfig config = new()
        {
            HiddenSize = 64,
            IntermediateSize = 96,
            LayerCount = layers,
            HeadCount = 4,
            KeyValueHeadCount = 2,
            HeadWidth = 16,
            VocabularySize = 300,
            ContextLength = 64,
        };
        Language = new LanguageModel(Initialization.Random(config, 3), BpeTrainer.Train(File.ReadLines(Text), new BpeTraining { VocabularySize = 300 }), "tiny");
        Language.Save(Model, DType.F32);
    }

    public LanguageModel Language { get; }

    public string Model => folder["model"];

    public string Text => folder["text.txt"];

    public string this[string name] => folder[name];

    /// <summary>Another copy of the model whose weights <paramref name="change"/> has edited.</summary>
    public string Changed(string name, Action<DecoderModel> change)
    {
        LanguageModel copy = LanguageModel.Load(Model);
        change((DecoderModel)copy.Model);
        copy.Save(folder[name], DType.F32);
        return folder[name];
    }

    public static Span<float> Values(MatrixLayer layer) => ((DenseWeight)layer.Weight).Values.Data;

    /// <summary>The bytes of all files of a folder, by name.</summary>
    public static Dictionary<string, string> Bytes(string folder) => Directory.EnumerateFiles(folder, "*", SearchOption.AllDirectories)
        .ToDictionary(file => Path.GetRelativePath(folder, file), file => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(file))));

    /// <summary>What lies in the folder besides the model and the text.</summary>
    public IEnumerable<string> Others => Directory.EnumerateFileSystemEntries(folder.Path).Select(Path.GetFileName).Except(["model", "text.txt"])!;

    public void Dispose() => folder.Dispose();
}
