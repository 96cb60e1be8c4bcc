using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Formats;

/// <summary>Whether a model's classifier is its embedding.</summary>
public enum Classifier
{
    /// <summary>One matrix serves both.</summary>
    Tied,

    /// <summary>The classifier has a matrix of its own.</summary>
    Untied,
}

/// <summary>The header of llama2.c's first file format: seven int32 in this order, the vocabulary negative where the classifier is untied.</summary>
public sealed record Llama2CHeader(int Width, int HiddenWidth, int Layers, int Heads, int KeyValueHeads, int Vocabulary, int ContextLength, Classifier Classifier);

/// <summary>
/// A llama2.c model file of the first format (no magic): header, then float32 tensors in a fixed order. Their names here are those of Meta's
/// checkpoints (<c>layers.0.attention.wq.weight</c>), and rotary pairs are neighbours, as in Meta's.
/// </summary>
public sealed class Llama2C : ICheckpoint
{
    const int HeaderBytes = 28;

    readonly BinaryFile file;
    readonly Dictionary<string, (long Begin, Shape Shape)> tensors = new(StringComparer.Ordinal);

    Llama2C(BinaryFile file, Llama2CHeader header) => (this.file, Header) = (file, header);

    /// <summary>The model's sizes.</summary>
    public Llama2CHeader Header { get; }

    /// <inheritdoc/>
    public string Path => file.Path;

    /// <inheritdoc/>
    public IReadOnlyCollection<string> Names => tensors.Keys;

    /// <summary>Opens a file and checks that its length is exactly what its header asks for.</summary>
    /// <exception cref="CoppiceException">The file is absent, unreadable or no such model.</exception>
    public static Llama2C Open(string path)
    {
        BinaryFile file = new(path);
        try
        {
            Llama2C model = new(file, ReadHeader(file));
            long at = HeaderBytes;
            foreach ((string? name, Shape shape) in Layout(model.Header))
            {
                if (name is not null)
                    model.tensors.Add(name, (at, shape));
                at += 4L * shape.Length;
            }
            return model;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Writes a file, whole or not at all, from exactly the tensors that the format has.</summary>
    /// <exception cref="CoppiceException">A tensor is missing, unknown or of another shape, or the file system refused.</exception>
    public static void Write(string path, Llama2CHeader header, IReadOnlyCollection<CheckpointEntry> entries, WritingOptions? options = null)
    {
        options ??= new WritingOptions();
        if (Fault(header) is string fault)
            throw new CoppiceException($"{path}: {fault}");
        Dictionary<string, CheckpointEntry> byName = entries.ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        HashSet<string> known = [.. Layout(header).Select(slot => slot.Name).OfType<string>()];
        foreach (CheckpointEntry entry in entries)
            if (!known.Contains(entry.Name))
                throw new CoppiceException($"{path}: tensor '{entry.Name}' has no place in llama2.c's format");
        foreach ((string? name, Shape shape) in Layout(header))
            if (name is not null && (!byName.TryGetValue(name, out CheckpointEntry? entry) || entry.Shape != shape))
                throw new CoppiceException($"{path}: tensor '{name}' is {(entry is null ? "missing" : entry.Shape.ToString())}, wanted {shape}");
        using WorkerPool own = new(1);
        int vocabulary = header.Classifier == Classifier.Tied ? header.Vocabulary : -header.Vocabulary, table = 0;
        List<PlacedTensor> placed = [];
        long at = HeaderBytes, done = 0;
        foreach ((string? name, Shape shape) in Layout(header))
        {
            Action<FileStream> write = stream => Source(byName[name!]).Write(stream, options.Pool ?? own);
            if (name is null)
            {
                Func<double, double> wave = table++ == 0 ? Math.Cos : Math.Sin;
                write = stream => WriteRotary(stream, shape, wave);
            }
            placed.Add(new PlacedTensor(name ?? $"rotary {table}", at, 4L * shape.Length, write));
            at += 4L * shape.Length;
        }
        PlacedFile.Write(path, MemoryMarshal.AsBytes<int>([header.Width, header.HiddenWidth, header.Layers, header.Heads, header.KeyValueHeads, vocabulary, header.ContextLength]), at, placed, options,
            tensor => options.Progress?.Report(new WriteProgress(tensor.Name, done += tensor.ByteCount, at - HeaderBytes)));

        static TensorSource Source(CheckpointEntry entry) => entry.Weight is { } weight ? TensorSource.Dense(entry.Name, DType.F32, weight) : TensorSource.Floats(entry.Name, DType.F32, entry.Tensor!);
    }

    /// <inheritdoc/>
    public ImmutableArray<long> ShapeOf(string name) => [.. Find(name).Shape.Select(size => (long)size)];

    /// <inheritdoc/>
    public Weight ReadWeight(string name) => Find(name).Shape.Rank == 2
        ? new DenseWeight(ReadTensor(name))
        : throw file.Error($"tensor '{name}' is {Find(name).Shape}, wanted a matrix");

    /// <inheritdoc/>
    public Weight OpenWeight(string name)
    {
        (long begin, Shape shape) = Find(name);
        return shape.Rank == 2 ? new StoredWeight(file, name, begin, null, shape[0], shape[1]) : ReadWeight(name);
    }

    /// <inheritdoc/>
    public Tensor ReadTensor(string name)
    {
        (long begin, Shape shape) = Find(name);
        Tensor tensor = new(shape);
        file.Read(begin, MemoryMarshal.AsBytes(tensor.Data), $"tensor '{name}'");
        int wrong = HalfConversion.IndexOfNonFinite(tensor.Data);
        return wrong < 0 ? tensor : throw file.Error($"tensor '{name}' holds a number that is not finite at {wrong:N0}; the model is damaged");
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();

    (long Begin, Shape Shape) Find(string name) => tensors.TryGetValue(name, out (long, Shape) place) ? place : throw file.Error($"has no tensor '{name}' among its {tensors.Count}");

    static Llama2CHeader ReadHeader(BinaryFile file)
    {
        if (file.Length < HeaderBytes)
            throw file.Error($"has {file.Length} bytes, too short for a llama2.c model");
        Span<int> numbers = stackalloc int[7];
        file.Read(0, MemoryMarshal.AsBytes(numbers), "the header");
        Llama2CHeader header = new(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
            numbers[5] == int.MinValue ? 0 : Math.Abs(numbers[5]), numbers[6], numbers[5] < 0 ? Classifier.Untied : Classifier.Tied);
        if (Fault(header) is string fault)
            throw file.Error($"{fault}; is it a llama2.c model?");
        Int128 wanted = HeaderBytes + 4 * Count(header);
        return wanted == file.Length ? header : throw file.Error($"has {file.Length:N0} bytes, wanted {wanted:N0} for the sizes in its header; is it cut short, or no llama2.c model?");
    }

    static string? Fault(Llama2CHeader header)
    {
        (int width, int hidden, int layers, int heads, int keyValueHeads, int vocabulary, int context, _) = header;
        if (Math.Min(Math.Min(Math.Min(width, hidden), Math.Min(layers, heads)), Math.Min(Math.Min(keyValueHeads, vocabulary), context)) < 1)
            return $"a size below 1 in {header}";
        return width % heads != 0 || heads % keyValueHeads != 0 || width / heads % 2 != 0
            ? $"{width} channels in {heads} heads of which {keyValueHeads} for keys and values, wanted heads of an even size"
            : Count(header) / layers > int.MaxValue || Math.Max((long)vocabulary * width, (long)hidden * width) > int.MaxValue ? $"sizes past {int.MaxValue:N0} in {header}" : null;
    }

    // What Layout adds up to, without going through it.
    static Int128 Count(Llama2CHeader h)
    {
        Int128 keyValueWidth = h.Width / h.Heads * (Int128)h.KeyValueHeads, width = h.Width;
        Int128 layer = 2 * width + 2 * width * width + 2 * keyValueWidth * width + 3 * width * h.HiddenWidth;
        Int128 embeddings = width * h.Vocabulary * (h.Classifier == Classifier.Untied ? 2 : 1);
        return embeddings + h.Layers * layer + width + (Int128)h.ContextLength * (h.Width / h.Heads / 2) * 2;
    }

    // The tensors in the file's order; two without a name are rotary tables, which nobody reads any more.
    static IEnumerable<(string? Name, Shape Shape)> Layout(Llama2CHeader h)
    {
        int head = h.Width / h.Heads, keyValueWidth = head * h.KeyValueHeads;
        (string Name, Shape Shape)[] perLayer =
        [
            ("attention_norm", [h.Width]),
            ("attention.wq", [h.Width, h.Width]), ("attention.wk", [keyValueWidth, h.Width]), ("attention.wv", [keyValueWidth, h.Width]), ("attention.wo", [h.Width, h.Width]),
            ("ffn_norm", [h.Width]),
            ("feed_forward.w1", [h.HiddenWidth, h.Width]), ("feed_forward.w2", [h.Width, h.HiddenWidth]), ("feed_forward.w3", [h.HiddenWidth, h.Width]),
        ];
        yield return ("tok_embeddings.weight", [h.Vocabulary, h.Width]);
        foreach ((string name, Shape shape) in perLayer)
            for (int layer = 0; layer < h.Layers; layer++)
                yield return ($"layers.{layer}.{name}.weight", shape);
        yield return ("norm.weight", [h.Width]);
        yield return (null, [h.ContextLength, head / 2]);
        yield return (null, [h.ContextLength, head / 2]);
        if (h.Classifier == Classifier.Untied)
            yield return ("output.weight", [h.Vocabulary, h.Width]);
    }

    // llama2.c knows one base of rotation, 10000.
    static void WriteRotary(Stream stream, Shape shape, Func<double, double> wave)
    {
        float[] row = new float[shape[1]];
        for (int position = 0; position < shape[0]; position++)
        {
            for (int i = 0; i < row.Length; i++)
                row[i] = (float)wave(position * Math.Pow(10000, -i / (double)row.Length));
            stream.Write(MemoryMarshal.AsBytes(row.AsSpan()));
        }
    }
}
