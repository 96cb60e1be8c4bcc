using System.Text.Json;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Inference;

/// <summary>
/// What entered each matrix of a model, by its full name, as histograms: the ranges that <see cref="Weights.ActivationFormat.Int8Static"/> rounds by. A machine at the edge reports what it
/// serves (<see cref="Observe"/>, <see cref="Write"/>); whoever holds the model adds up reports (<see cref="Merge"/>) and sends back ranges, having seen no text. Not thread-safe.
/// </summary>
public sealed class ActivationRanges(Model model)
{
    readonly Dictionary<MatrixLayer, string> names = model.Matrices().ToDictionary(matrix => matrix.Layer, matrix => matrix.Name);
    readonly SortedDictionary<string, ActivationHistogram> seen = new(StringComparer.Ordinal);

    /// <summary>What was seen of each matrix.</summary>
    public IReadOnlyDictionary<string, ActivationHistogram> Seen => seen;

    /// <summary>Runs the model over token sequences, each at most its context long, with its inputs as they are.</summary>
    /// <exception cref="CoppiceException">There is no text, or an activation is not finite.</exception>
    public static ActivationRanges Gather(Model model, IReadOnlyList<int[]> sequences, WorkerPool pool, CancellationToken cancel = default)
    {
        if (sequences.Count == 0)
            throw new CoppiceException("activation ranges: there is no text to calibrate on");
        ActivationRanges ranges = new(model);
        ForwardContext context = new(pool) { OnLinearInput = ranges.Observe };
        foreach (int[] sequence in sequences)
        {
            cancel.ThrowIfCancellationRequested();
            context.Reset();
            model.ForwardLast(new Batch(sequence), context);
        }
        return ranges;
    }

    /// <summary>Counts what enters a product: for <see cref="ForwardContext.OnLinearInput"/> of whatever serves the model.</summary>
    public void Observe(Linear layer, Tensor x) => Of(names[layer.Stored]).Add(x.Data);

    /// <summary>Adds what another machine saw of the same model.</summary>
    /// <exception cref="CoppiceException">It names a matrix that this model does not have.</exception>
    public void Merge(ActivationRanges other)
    {
        foreach ((string name, ActivationHistogram histogram) in other.seen)
            Known(name, "report").Add(histogram);
    }

    /// <summary>Has the model's matrices round their inputs by these ranges. One that saw nothing, such as an expert that no token was sent to, takes the widest of the model.</summary>
    public void ApplyTo(Model target, RangeRule rule)
    {
        float widest = seen.Values.Select(histogram => histogram.Range(rule)).DefaultIfEmpty().Max();
        foreach ((string name, MatrixLayer layer) in target.Matrices())
            layer.InputRange = seen.TryGetValue(name, out ActivationHistogram? histogram) && histogram.Max > 0 ? histogram.Range(rule) : widest;
    }

    /// <summary>Writes the report as JSON: for each matrix its largest magnitude and the counts of its bins.</summary>
    public void Write(Stream stream)
    {
        using Utf8JsonWriter json = new(stream);
        json.WriteStartObject();
        foreach ((string name, ActivationHistogram histogram) in seen)
        {
            json.WriteStartObject(name);
            json.WriteNumber("max", histogram.Max);
            json.WriteStartArray("counts");
            foreach (long count in histogram.Counts)
                json.WriteNumberValue(count);
            json.WriteEndArray();
            json.WriteEndObject();
        }
        json.WriteEndObject();
    }

    /// <summary>Reads what <see cref="Write"/> wrote and adds it.</summary>
    /// <param name="stream">The report.</param>
    /// <param name="source">What to call it in messages.</param>
    /// <exception cref="CoppiceException">It is no report, or that of another model.</exception>
    public void Read(Stream stream, string source)
    {
        try
        {
            using JsonDocument report = JsonDocument.Parse(stream);
            foreach (JsonProperty matrix in report.RootElement.EnumerateObject())
                Known(matrix.Name, source).Add([.. matrix.Value.GetProperty("counts").EnumerateArray().Select(count => count.GetInt64())], matrix.Value.GetProperty("max").GetSingle());
        }
        catch (Exception error) when (error is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new CoppiceException($"{source}: is no report of activation ranges: {error.Message}");
        }
    }

    ActivationHistogram Known(string name, string source) =>
        names.ContainsValue(name) ? Of(name) : throw new CoppiceException($"{source}: names a matrix '{name}'; the nearest of this model is '{NearestName.Of(name, names.Values)}'");

    ActivationHistogram Of(string name)
    {
        if (!seen.TryGetValue(name, out ActivationHistogram? histogram))
            seen.Add(name, histogram = new ActivationHistogram());
        return histogram;
    }
}
