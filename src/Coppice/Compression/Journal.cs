using System.Collections.Immutable;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Compression;

/// <summary>The blocks that a run has finished, kept in the folder <c>OUT.journal</c> until the run's output is written, so that an interrupted run goes on after the last whole one.</summary>
public sealed class Journal
{
    const string LockName = "lock", SignatureName = "signature.txt", NotesName = "notes.txt", ResultsKey = "layers";

    // Of this process.
    static readonly Dictionary<string, FileStream> held = [];

    readonly string folder;
    readonly List<ICheckpoint> models = [];

    Journal(string folder) => this.folder = folder;

    /// <summary>The journal of an output, new or left by an interrupted run. The run is told by model, recipe, calibration text or importance matrix, seed and the CPU's vector width.</summary>
    /// <exception cref="CoppiceException">The folder holds another run's work.</exception>
    public static Journal Open(string output, Model model, Recipe recipe, IReadOnlyList<int[]> calibration, int seed, ImportanceMatrix? importance = null, string? holders = null)
    {
        string folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(output)) + ".journal";
        string file = Path.Combine(folder, SignatureName), signature = Signature(model, recipe, calibration, seed, importance) + (holders is null ? "" : $"\n{holders}");
        try
        {
            Directory.CreateDirectory(folder);
            if (File.Exists(file) ? File.ReadAllText(file) != signature : Directory.EnumerateFileSystemEntries(folder).Any(path => Path.GetFileName(path) != LockName && !path.EndsWith(".partial", StringComparison.Ordinal)))
                throw new CoppiceException($"{folder}: holds the work of another run (model, recipe, a checkpoint that it reads, calibration text, seed or machine differ); delete it, or name another output");
            Hold(folder);
            AtomicFile.WriteText(file, signature);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{folder}: could not be used as a journal: {error.Message}", error);
        }
        return new Journal(folder);
    }

    // Two runs at once would take each other's parts away. A process that ends in whatever way lets go.
    static void Hold(string folder)
    {
        string path = Path.Combine(folder, LockName);
        lock (held)
            if (!held.ContainsKey(folder))
                try
                {
                    held[folder] = new FileStream(path, FileMode.OpenOrCreate, FileAccess.Write, FileShare.None);
                }
                catch (IOException error) when (File.Exists(path))
                {
                    throw new CoppiceException($"{folder}: another run is at work there; wait for its end, or name another output", error);
                }
    }

    static void LetGo(string folder)
    {
        lock (held)
            if (held.Remove(folder, out FileStream? own))
                own.Dispose();
    }

    /// <summary>A journal of nobody's run, in a folder that goes with it.</summary>
    internal static Journal Scratch(string folder)
    {
        Directory.CreateDirectory(folder);
        return new Journal(folder);
    }

    /// <summary>A path inside the journal, on the output's own file system, where the output can be built before it is moved to its place.</summary>
    public string PlaceFor(string name) => Path.Combine(folder, name);

    /// <summary>Ends the journal, once the output is safe.</summary>
    public void Delete()
    {
        foreach (ICheckpoint model in models)
            model.Dispose();
        LetGo(folder);
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Ends a journal that keeps no finished block; otherwise leaves it to a later run.</summary>
    public void DeleteIfEmpty()
    {
        if (Directory.Exists(folder) && !Directory.EnumerateFileSystemEntries(folder, "part-*").Any(path => !path.EndsWith(".partial", StringComparison.Ordinal)))
            Delete();
        LetGo(folder);
    }

    /// <summary>Keeps a finished part of the work: its matrices that changed, and what is to be reported.</summary>
    internal void Write(int part, IEnumerable<(string Name, Weight Weight)> changed, ImmutableArray<LayerResult> results) =>
        SafeTensorsWriter.WriteFile(PathOf(part), changed.SelectMany(matrix => WeightParts.Of(matrix.Name, matrix.Weight)),
            new Dictionary<string, string> { [ResultsKey] = JsonSerializer.Serialize(results, JournalJson.Default.ImmutableArrayLayerResult) });

    /// <summary>Puts a finished part's matrices into the model; null where the part is not there.</summary>
    internal ImmutableArray<LayerResult>? Read(int part, IReadOnlyList<(string Name, MatrixLayer Layer)> matrices)
    {
        if (!File.Exists(PathOf(part)))
            return null;
        try
        {
            using SafeTensors file = SafeTensors.Open(PathOf(part));
            foreach ((string name, MatrixLayer layer) in matrices)
                if (WeightParts.Read(file, name, layer.Weight.Rows, layer.Weight.Columns) is { } weight)
                    layer.Weight = weight;
            return JsonSerializer.Deserialize(file.Metadata[ResultsKey], JournalJson.Default.ImmutableArrayLayerResult);
        }
        catch (CoppiceException error)
        {
            throw new CoppiceException($"{error.Message}; what an earlier run left is damaged, delete {folder} to begin anew", error);
        }
    }

    /// <summary>Lets go of a finished part.</summary>
    internal void Forget(int part) => File.Delete(PathOf(part));

    /// <summary>A finished part's matrix, read from here when it is asked for; <paramref name="weight"/> is what was kept.</summary>
    internal DeferredWeight Stored(int part, string name, Weight weight)
    {
        (int rows, int columns) = (weight.Rows, weight.Columns);
        return DeferredWeight.Like(weight, () =>
        {
            using SafeTensors file = SafeTensors.Open(PathOf(part));
            file.Reading = WeightReading.OnDemand;
            return WeightParts.Read(file, name, rows, columns) ?? throw new CoppiceException($"{PathOf(part)}: has no '{name}' any more; the journal was changed while it was in use");
        });
    }

    /// <summary>Keeps the model that a step over the whole model made, and leaves its matrices here.</summary>
    internal Model WriteModel(int part, Model model, IReadOnlyList<string> notes)
    {
        string place = ModelPathOf(part), partial = place + ".partial";
        if (Directory.Exists(partial))
            Directory.Delete(partial, recursive: true);
        Directory.CreateDirectory(partial);
        ModelFolder.Save(model, partial, DType.F32, null, null);
        AtomicFile.WriteText(Path.Combine(partial, NotesName), string.Join('\n', notes));
        Directory.Move(partial, place);
        return ReadModel(part)!.Value.Model;
    }

    /// <summary>The model that was kept, and what was noted; null where there is none.</summary>
    internal (Model Model, IReadOnlyList<string> Notes)? ReadModel(int part)
    {
        string place = ModelPathOf(part);
        if (!Directory.Exists(place))
            return null;
        Model model = ModelFolder.Open(place, out ICheckpoint checkpoint);
        models.Add(checkpoint);
        return (model, [.. File.ReadAllText(Path.Combine(place, NotesName)).Split('\n', StringSplitOptions.RemoveEmptyEntries)]);
    }

    string ModelPathOf(int part) => Path.Combine(folder, $"part-{part:D5}.model");

    string PathOf(int part) => Path.Combine(folder, $"part-{part:D5}.safetensors");

    static string Signature(Model model, Recipe recipe, IReadOnlyList<int[]> calibration, int seed, ImportanceMatrix? importance)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        string modelHash = HashOf(model, hash);
        // The recipe names them by their paths alone.
        StringBuilder checkpoints = new();
        foreach (string path in recipe.Steps.Concat(recipe.Steps.OfType<WeightStep>().SelectMany(step => step.Overrides).Select(change => change.Step)).SelectMany(step => step.Reads).Distinct())
        {
            using OpenModel open = OpenModel.Open(path);
            checkpoints.Append($"checkpoint {HashOf(open.Language.Model, hash)}\n");
        }
        foreach (int[] sequence in calibration)
        {
            hash.AppendData(BitConverter.GetBytes(sequence.Length));
            hash.AppendData(MemoryMarshal.AsBytes(sequence.AsSpan()));
        }
        foreach ((string name, InputImportance entry) in importance?.Entries ?? ImmutableSortedDictionary<string, InputImportance>.Empty)
        {
            hash.AppendData(Encoding.UTF8.GetBytes(name));
            hash.AppendData(MemoryMarshal.AsBytes(entry.SumsOfSquares.AsSpan()));
            hash.AppendData(MemoryMarshal.AsBytes(entry.Counts.AsSpan()));
        }
        int width = Vector512.IsHardwareAccelerated ? 512 : Vector256.IsHardwareAccelerated ? 256 : 128;
        return $"journal 1\nmodel {modelHash}\n{checkpoints}calibration {Convert.ToHexStringLower(hash.GetHashAndReset())}\nseed {seed}\nvectors {width}\n{recipe.ToYaml()}";
    }

    static string HashOf(Model model, IncrementalHash hash)
    {
        foreach ((string name, MatrixLayer layer) in model.Matrices())
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{name} {layer.Weight.Kind} {layer.Weight.Shape}\n"));
            foreach ((_, ReadOnlyMemory<float> band) in RowBands.Of(layer.Weight))
                hash.AppendData(MemoryMarshal.AsBytes(band.Span));
        }
        foreach ((string name, Tensor vector) in model.AllVectors())
        {
            hash.AppendData(Encoding.UTF8.GetBytes($"{name} {vector.Shape}\n"));
            hash.AppendData(MemoryMarshal.AsBytes(vector.Data));
        }
        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}

/// <summary>Reports in a journal, written and read without reflection.</summary>
[JsonSerializable(typeof(ImmutableArray<LayerResult>))]
internal sealed partial class JournalJson : JsonSerializerContext;
