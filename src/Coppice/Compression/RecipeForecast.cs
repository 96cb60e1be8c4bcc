using System.Collections.Immutable;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Coppice.Evaluation;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Compression;

/// <summary>What a recipe will cost and give: passes from doing their first block, since every block of a model has the same sizes, steps over the whole model from doing them, or a part that tells the rest.</summary>
/// <param name="Seconds">Of the whole run, writing included.</param>
/// <param name="PeakBytes">The most physical memory.</param>
/// <param name="OutputBytes">The weights as they will be stored, vectors included.</param>
/// <param name="JournalBytes">Disk that finished blocks take until the output is written.</param>
/// <param name="BitsPerWeight">Stored bits a parameter.</param>
/// <param name="Kinds">How matrices will be stored, by what they are called within a block.</param>
public sealed record RecipeForecast(double Seconds, long PeakBytes, long OutputBytes, long JournalBytes, double BitsPerWeight, ImmutableSortedDictionary<string, string> Kinds)
{
    // Enough for all of a machine's threads to be busy as in the run itself.
    const int SampleTokens = 2048;

    /// <summary>Does the first block on a little of the text, and counts the rest. The model is as before when this returns.</summary>
    /// <param name="recipe">The recipe.</param>
    /// <param name="model">Best left in its file (see <see cref="OpenModel"/>): memory is then told as it will be.</param>
    /// <param name="calibration">The run's token sequences; none where no step looks at text.</param>
    /// <param name="scratch">A folder for the first block's part of a journal, which this makes and deletes.</param>
    /// <param name="pool">Threads for the work.</param>
    /// <param name="cancel">Stops it.</param>
    /// <param name="texts">Of how many texts the sequences are; for the time each is taken to be the sample.</param>
    /// <param name="reload">Reads the model again, for steps that ask it.</param>
    /// <exception cref="CoppiceException">The recipe does not fit the model.</exception>
    public static RecipeForecast Measure(Recipe recipe, Model model, IReadOnlyList<int[]> calibration, string scratch, WorkerPool pool, CancellationToken cancel = default, int texts = 1, Func<Model>? reload = null)
    {
        RecipePlan plan = new(recipe, model);
        IReadOnlyList<int[]> text = [.. calibration.Take(FewFor(calibration))];
        int tokens = calibration.Sum(sequence => sequence.Length), sampled = text.Sum(sequence => sequence.Length);
        ForecastWork work = new(recipe, text, texts, (double)tokens / Math.Max(1, sampled), scratch, pool, reload, cancel);
        using UnchangedModel unchanged = new(model);
        try
        {
            foreach (RecipePhase phase in plan.Phases)
                model = phase.Model is null ? work.Pass(phase, model) : work.Step(phase, model);
            return Counted(model, plan.Packed, work, tokens, sampled);
        }
        finally
        {
            work.Delete();
        }
    }

    static RecipeForecast Counted(Model model, IReadOnlySet<string> packed, ForecastWork work, int tokens, int sampled)
    {
        List<(string Name, MatrixLayer Layer)> matrices = [.. model.Matrices()];
        Dictionary<string, LayerResult> byRole = work.Done.Values.GroupBy(result => RoleOf(result.Name)).ToDictionary(group => group.Key, group => group.First());
        long output = model.AllVectors().Sum(part => 4L * part.Vector.Shape.Length), read = 0;
        SortedDictionary<string, string> kinds = new(StringComparer.Ordinal);
        foreach ((string name, MatrixLayer layer) in matrices)
        {
            long count = (long)layer.Weight.Rows * layer.Weight.Columns;
            // A matrix that a step over the whole model stored is there; of others the first block's tells.
            bool isPlain = layer.Weight.Kind is "f32" or "f16" or "bf16";
            LayerResult? like = isPlain ? byRole.GetValueOrDefault(RoleOf(name)) : null;
            output += !isPlain ? layer.Weight.ByteCount : like is null ? 2 * count : (long)(like.BitsPerWeight * count / 8);
            read += layer.Weight.ByteCount;
            kinds[RoleOf(name)] = !isPlain ? layer.Weight.Kind : like?.Kind ?? "f16";
        }
        // The model is read once to tell it from others and once to look for numbers that cannot be stored; the output is read from the journal and written.
        double rate = ReadingRate(matrices.MaxBy(matrix => matrix.Layer.Weight.Shape.Length).Layer.Weight);
        double seconds = work.Seconds + 2 * read / rate + (work.JournalBytes + output) / rate;
        long peak = MemoryProbe.PeakBytes() + (long)Math.Max(0, tokens - sampled) * model.Width * 4;
        return new RecipeForecast(seconds, peak, output, work.JournalBytes, 8.0 * output / model.ParameterCount, kinds.ToImmutableSortedDictionary(StringComparer.Ordinal))
        {
            Runtimes = [.. RuntimesOf(model, packed, kinds.Values)],
        };
    }

    /// <summary>Programs that can load what is written: GGUF's blocks in a .gguf, the rest in a folder too.</summary>
    public ImmutableArray<string> Runtimes { get; private init; } = [];

    static IEnumerable<string> RuntimesOf(Model model, IReadOnlySet<string> packed, IEnumerable<string> kinds)
    {
        yield return "Coppice";
        if (ModelStorage.Refuses(model, inGguf: true, packed) is null && kinds.All(kind => IsInGguf(model, kind)))
            yield return "llama.cpp (.gguf)";
        if (ModelStorage.Refuses(model, inGguf: false, packed) is not null)
            yield break;
        if (kinds.Any(kind => LevelWeight.IsKind(kind) || kind.StartsWith("haar", StringComparison.Ordinal) || kind == "int16-channel"))
        {
            if (kinds.All(kind => kind is "f16" or "bf16" || kind.StartsWith("nf4-", StringComparison.Ordinal)))
                yield return "Transformers (folder, bitsandbytes)";
        }
        else if (!kinds.Any(kind => BlockFormat.Find(kind) is not null))
            yield return kinds.All(kind => kind is "f16" or "bf16") ? "vLLM and Transformers (folder)" : "vLLM and Transformers (folder, compressed-tensors)";
    }

    // What else there is would be rounded again.
    static bool IsInGguf(Model model, string kind) => kind is "f16" or "bf16" or "sparse-f16" or "2:4-f16" or "mxfp4-g32" || BlockFormat.Find(kind) is not null
        || IntegerForm.Parse(kind) is { } form && model.Matrices().All(matrix => form.IsInGguf(matrix.Layer.Weight.Columns));

    // Bytes a second of a matrix that is read, made float32 and hashed.
    static double ReadingRate(Weight largest)
    {
        using IncrementalHash hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        long start = Stopwatch.GetTimestamp();
        foreach ((_, ReadOnlyMemory<float> band) in RowBands.Of(largest))
            hash.AppendData(MemoryMarshal.AsBytes(band.Span));
        return largest.ByteCount / Math.Max(1e-6, Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    // "model.layers.3.mlp.up_proj" -> "mlp.up_proj": the same in every block. What lies outside keeps its name.
    static string RoleOf(string name)
    {
        string[] parts = name.Split('.');
        int layer = Array.FindIndex(parts, part => int.TryParse(part, out _));
        return layer < 0 ? name : string.Join('.', parts[(layer + 1)..].Select(part => int.TryParse(part, out _) ? "*" : part));
    }

    static int FewFor(IReadOnlyList<int[]> sequences)
    {
        int count = 0;
        for (int tokens = 0; count < sequences.Count && tokens < SampleTokens; count++)
            tokens += sequences[count].Length;
        return count;
    }

    /// <summary>Tokens in no order, for who has no text yet.</summary>
    public static IReadOnlyList<int[]> RandomText(Model model, int tokens, int seed)
    {
        Random random = new(seed);
        return [.. Enumerable.Range(0, tokens).Select(_ => random.Next(model.VocabularySize)).Chunk(model.ContextLength)];
    }
}
