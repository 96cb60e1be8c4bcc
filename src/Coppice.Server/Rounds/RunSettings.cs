using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Federation.Strategies;
using Coppice.Models;
using Coppice.Server.Store;
using Coppice.Tensors;

namespace Coppice.Server.Rounds;

/// <summary>A federated run over a network.</summary>
/// <param name="Federation">What decides its result.</param>
sealed record RunSettings(FederatedOptions Federation)
{
    /// <summary>Clients asked above those wanted, as a share: 0.3 asks 13 where 10 are wanted.</summary>
    public double OverSelection { get; init; }

    /// <summary>Updates without which a round has no result.</summary>
    public int Minimum { get; init; } = 1;

    /// <summary>How long a round waits for its clients.</summary>
    public TimeSpan Deadline { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Numbers of the model that are aggregated at a time, in bytes of float32; a larger tensor has a slice to itself.</summary>
    public long SliceBytes { get; init; } = 4 << 20;

    /// <summary>Closed rounds whose models and updates are kept; those of older ones are deleted.</summary>
    public int KeptRounds { get; init; } = 10;

    /// <summary>How long a file that no row names is kept: one may be on its way, or a client at it.</summary>
    public TimeSpan BlobGrace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>When a round ends.</summary>
    public RoundRule Rule => new(Federation.ClientsPerRound, Minimum, Deadline);

    /// <summary>Whether rounds can live in the store alone: a round's result is then made of what is there, its model and its updates, by any number of processes. Everything else is driven by one.</summary>
    public static bool CanBeStored(FederatedOptions options) => options.Strategy is FedAvg or FedProx && options.Robust is null && options.Privacy is null && options.Secure is null && options.Participation == 0 && options.Personal.IsEmpty && options.Widths is null && options.Training.Pruning is null && options.Codec is not SharedProductCodec;

    /// <summary>Throws with the first option that cannot be.</summary>
    public void Validate()
    {
        Federation.Validate();
        if (!CanBeStored(Federation))
            throw new CoppiceException($"Federation: strategy '{Federation.Strategy.Name}', robust rules, privacy, secure aggregation, participation by chance, personal tensors, clients of different widths, masks that they vote on and codebooks that they share need one process that drives the run; rounds that live in the store take fedavg and fedprox, and none of the others");
        if (Federation.Teacher is not null || Federation.Training.Quantization is not null)
            throw new CoppiceException("Federation: a teacher and matrices that train as integers are steps of a recipe; wanted neither");
        Check(Federation.Dropout == 0, "dropout", Federation.Dropout, "0: clients of a network drop out by themselves");
        Check(OverSelection is >= 0 and <= 10, "over-selection", OverSelection, "0 to 10");
        Check(Minimum >= 1, "minimum", Minimum, "1 or more");
        Check(KeptRounds >= 1, "rounds kept", KeptRounds, "1 or more");
        Check(Federation.ClientsPerRound == 0 || Minimum <= Federation.ClientsPerRound, "minimum", Minimum, $"at most the {Federation.ClientsPerRound} clients a round");
        Check(Deadline > TimeSpan.Zero && Deadline <= TimeSpan.FromDays(365), "deadline", Deadline.TotalSeconds, "above 0 and at most a year");

        static void Check(bool right, string name, double value, string wanted)
        {
            if (!right)
                throw new CoppiceException(string.Create(CultureInfo.InvariantCulture, $"Federation: {name} is {value}, wanted {wanted}"));
        }
    }

    /// <summary>The clients of a round, drawn from those that are enrolled.</summary>
    public IReadOnlyList<string> Draw(IReadOnlyList<string> clients, int round)
    {
        int wanted = Federation.ClientsPerRound == 0 ? clients.Count : Federation.ClientsPerRound;
        return Federation.Strategy.Select(clients, (int)Math.Min(clients.Count, Math.Ceiling(wanted * (1 + OverSelection))), round, Federation.Seed);
    }

    /// <summary>What decides the result, as JSON.</summary>
    public string ToJson() => JsonSerializer.Serialize(new RunDocument(Federation.Rounds, Federation.ClientsPerRound, Federation.LocalSteps, Federation.Strategy.Name, Federation.Codec.Name, Federation.Download,
        Federation.Seed, Federation.EvaluationWindows, Federation.FreshClients, LocalTraining.Of(Federation.Training)), RunDocumentJson.Default.RunDocument);

    /// <summary>What that JSON says of how a run's updates are read and averaged.</summary>
    public static RunSettings FromJson(string json)
    {
        RunDocument own = JsonSerializer.Deserialize(json, RunDocumentJson.Default.RunDocument)!;
        return new RunSettings(new FederatedOptions { Rounds = own.Rounds, ClientsPerRound = own.ClientsPerRound, LocalSteps = own.LocalSteps, Strategy = StrategyRegistry.Find(own.Strategy), Codec = CodecRegistry.Find(own.Codec), Download = own.Download, Seed = own.Seed });
    }

    /// <summary>In what another run's JSON differs, each option with both values; null where it does not.</summary>
    public string? Difference(string json)
    {
        Dictionary<string, string> there = Fields(json), here = Fields(ToJson());
        string[] different = [.. there.Keys.Union(here.Keys).Where(name => there.GetValueOrDefault(name) != here.GetValueOrDefault(name))
            .Select(name => $"{name} is {there.GetValueOrDefault(name, "unknown")} there and {here.GetValueOrDefault(name, "unknown")} here")];
        return different.Length == 0 ? null : string.Join(", ", different);

        static Dictionary<string, string> Fields(string json)
        {
            using JsonDocument document = JsonDocument.Parse(json);
            return document.RootElement.EnumerateObject()
                .SelectMany(field => field.Value.ValueKind == JsonValueKind.Object ? field.Value.EnumerateObject().Select(inner => (Name: $"{field.Name}.{inner.Name}", inner.Value)) : [(field.Name, field.Value)])
                .ToDictionary(field => field.Name, field => field.Value.ToString(), StringComparer.Ordinal);
        }
    }

    /// <summary>Names the run: another model or another option is another run.</summary>
    public string Signature(DecoderConfig config, string model) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes($"{config}|{model}|{ToJson()}")));
}

/// <summary>The options of a run that its result depends on.</summary>
sealed record RunDocument(int Rounds, int ClientsPerRound, int LocalSteps, string Strategy, string Codec, DownloadFormat Download, int Seed, int EvaluationWindows, bool FreshClients, LocalTraining Training);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true)]
[JsonSerializable(typeof(RunDocument))]
sealed partial class RunDocumentJson : JsonSerializerContext;
