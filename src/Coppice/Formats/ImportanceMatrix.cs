using System.Collections.Immutable;
using System.Text;
using Coppice.Tensors;

namespace Coppice.Formats;

/// <summary>What enters each matrix of a model, by input channel: llama.cpp's importance matrix.</summary>
/// <param name="Datasets">The texts that it was gathered on.</param>
/// <param name="ChunkCount">Pieces of them that the model read.</param>
/// <param name="ChunkSize">Tokens of a piece; 0 where the file does not say.</param>
/// <param name="Entries">One a matrix, by llama.cpp's name for its tensor (<c>blk.0.attn_q.weight</c>).</param>
public sealed record ImportanceMatrix(ImmutableArray<string> Datasets, int ChunkCount, int ChunkSize, ImmutableSortedDictionary<string, InputImportance> Entries)
{
    const string TypeKey = "general.type", Type = "imatrix", DatasetsKey = "imatrix.datasets", ChunkCountKey = "imatrix.chunk_count", ChunkSizeKey = "imatrix.chunk_size";

    const string SumsSuffix = ".in_sum2", CountsSuffix = ".counts";

    /// <summary>Whether a file says that it is one: a GGUF file of that type, or a .dat, as llama.cpp wrote them before.</summary>
    /// <exception cref="CoppiceException">The file cannot be read.</exception>
    public static bool Is(string path)
    {
        if (!File.Exists(path))
            return false;
        if (!IsGguf(path))
            return Path.GetExtension(path).Equals(".dat", StringComparison.OrdinalIgnoreCase);
        using Gguf file = Gguf.Open(path);
        return file.Get(TypeKey, "") == Type;
    }

    /// <summary>Reads either layout.</summary>
    /// <exception cref="CoppiceException">The file is absent or breaks the layout's rules.</exception>
    public static ImportanceMatrix Read(string path)
    {
        if (!IsGguf(path))
            return ImportanceDat.Read(path);
        using Gguf file = Gguf.Open(path);
        if (file.Get(TypeKey, "") != Type)
            throw FormatError.At(path, $"is a GGUF file whose {TypeKey} is '{file.Get(TypeKey, "")}', wanted '{Type}'");
        Dictionary<string, InputImportance> entries = new(StringComparer.Ordinal);
        foreach (string name in file.Names)
        {
            if (name.EndsWith(SumsSuffix, StringComparison.Ordinal))
                entries.Add(name[..^SumsSuffix.Length], Entry(file, name));
            else if (!name.EndsWith(CountsSuffix, StringComparison.Ordinal) || !file.Tensors.ContainsKey(name[..^CountsSuffix.Length] + SumsSuffix))
                throw FormatError.At(path, $"tensor '{name}' is no '{SumsSuffix}', and no '{CountsSuffix}' of one");
        }
        return Create(path, [.. file.Get<string[]>(DatasetsKey, [])], file.Get(ChunkCountKey, 0), file.Get(ChunkSizeKey, 0), entries);
    }

    /// <summary>Writes a GGUF file, whole or not at all; tensors are sorted by name.</summary>
    /// <exception cref="CoppiceException">The file system refused, or a name is too long.</exception>
    public void Write(string path)
    {
        List<GgufWriter.Source> tensors = [];
        foreach ((string name, InputImportance entry) in Entries)
        {
            tensors.Add(new GgufWriter.Source(new CheckpointEntry(name + SumsSuffix, Tensor.From([entry.Counts.Length, entry.Columns], [.. entry.SumsOfSquares])), GgmlType.F32));
            tensors.Add(new GgufWriter.Source(new CheckpointEntry(name + CountsSuffix, Tensor.From([entry.Counts.Length, 1], [.. entry.Counts.Select(count => (float)count)])), GgmlType.F32));
        }
        GgufWriter.Write(path, [new(TypeKey, Type), new(DatasetsKey, Datasets.ToArray()), new(ChunkCountKey, (uint)ChunkCount), new(ChunkSizeKey, (uint)ChunkSize)], tensors);
    }

    internal static ImportanceMatrix Create(string path, ImmutableArray<string> datasets, int chunkCount, int chunkSize, Dictionary<string, InputImportance> entries)
    {
        if (entries.Count == 0)
            throw FormatError.At(path, "is an importance matrix of no tensors");
        if (chunkCount < 0 || chunkSize < 0)
            throw FormatError.At(path, $"tells of {chunkCount} chunks of {chunkSize} tokens, wanted none below 0");
        foreach ((string name, InputImportance entry) in entries)
            if (entry.SumsOfSquares.FirstOrDefault(sum => !(sum >= 0 && float.IsFinite(sum)), 0) is var wrong && wrong != 0)
                throw FormatError.At(path, $"entry '{name}' has a sum of squares of {wrong}, wanted a finite number of at least 0");
        return new ImportanceMatrix(datasets, chunkCount, chunkSize, entries.ToImmutableSortedDictionary(StringComparer.Ordinal));
    }

    static InputImportance Entry(Gguf file, string sums)
    {
        string counts = sums[..^SumsSuffix.Length] + CountsSuffix;
        if (!file.Tensors.ContainsKey(counts))
            throw FormatError.At(file.Path, $"tensor '{sums}' has no '{counts}' beside it");
        foreach (string name in (string[])[sums, counts])
            if (file.Tensors[name].Type != GgmlType.F32)
                throw FormatError.At(file.Path, $"tensor '{name}' is {file.Tensors[name].Type}, wanted F32");
        float[] numbers = file.ReadTensor(sums).Data.ToArray(), tokens = file.ReadTensor(counts).Data.ToArray();
        if (numbers.Length % tokens.Length != 0)
            throw FormatError.At(file.Path, $"tensor '{sums}' has {numbers.Length} sums for {tokens.Length} counts, wanted as many for each");
        if (Array.FindIndex(tokens, count => !(count is >= 0 and < 1L << 53) || count != MathF.Floor(count)) is >= 0 and int wrong)
            throw FormatError.At(file.Path, $"tensor '{counts}' counts {tokens[wrong]}, wanted a whole number");
        return new InputImportance([.. numbers], [.. tokens.Select(count => (long)count)]);
    }

    static bool IsGguf(string path)
    {
        using BinaryFile file = new(path);
        byte[] magic = new byte[4];
        if (file.Length < magic.Length)
            return false;
        file.Read(0, magic, "the magic");
        return Encoding.ASCII.GetString(magic) == "GGUF";
    }
}

/// <summary>The importance of one matrix's input channels; of a stack of experts, of each expert's.</summary>
/// <param name="SumsOfSquares">Of each input channel's activations; experts follow one another.</param>
/// <param name="Counts">What the sums were taken over, one number an expert: tokens (in a .dat chunks, the sums having been scaled to that).</param>
public sealed record InputImportance(ImmutableArray<float> SumsOfSquares, ImmutableArray<long> Counts)
{
    /// <summary>Input channels.</summary>
    public int Columns => SumsOfSquares.Length / Counts.Length;

    /// <summary>The mean square of each input channel of an expert, [inputs]; ones where it saw nothing, as llama.cpp has it.</summary>
    public float[] MeanSquares(int expert = 0)
    {
        float[] means = new float[Columns];
        for (int i = 0; i < means.Length; i++)
            means[i] = Counts[expert] > 0 ? SumsOfSquares[expert * Columns + i] / Counts[expert] : 1;
        return means;
    }
}
