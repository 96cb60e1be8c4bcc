using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation;

/// <summary>A run on disk: <c>run.safetensors</c> holds the model and the server's state after the last closed round, <c>rounds.json</c> what happened, <c>clients/</c> a file of state for each client in this process.</summary>
public sealed class RunJournal
{
    const string StatePrefix = "state.";

    readonly string folder;

    /// <summary>A run kept in a folder, which is made.</summary>
    /// <exception cref="CoppiceException">The folder cannot be made.</exception>
    public RunJournal(string folder)
    {
        this.folder = folder;
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any() && !Directory.Exists(Path.Combine(folder, "clients")))
            throw new CoppiceException($"{folder}: holds something else than a federated run; remove it, or name another output");
        try
        {
            PrivateFolder.Create(folder);
            PrivateFolder.Create(Path.Combine(folder, "clients"));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CoppiceException($"{folder}: could not be made: {error.Message}", error);
        }
    }

    /// <summary>The records of a run's closed rounds; null where a folder holds no run.</summary>
    /// <exception cref="CoppiceException">They are damaged.</exception>
    public static IReadOnlyList<RoundRecord>? ReadRecords(string folder) => Path.Combine(folder, "rounds.json") is var file && File.Exists(file)
        ? Message.Parse(file, File.ReadAllBytes(file), FederationJson.Default.RoundRecordArray)
        : null;

    /// <summary>The file for a client's state.</summary>
    public string ClientFile(string client) => Path.Combine(folder, "clients", Uri.EscapeDataString(client) + ".safetensors");

    /// <summary>The file of what was spent of the clients' privacy.</summary>
    public string LedgerFile => Path.Combine(folder, "privacy.json");

    string SpentFile => Path.Combine(folder, "signed.json");

    string ModelFile => Path.Combine(folder, "run.safetensors");

    string RecordsFile => Path.Combine(folder, "rounds.json");

    /// <summary>Notes that clients are about to sign who is in a round's sum, after which they take part in no other.</summary>
    internal void Spend(string run, int round) => AtomicFile.Write(SpentFile, stream => JsonSerializer.Serialize(stream, new SpentRound(run, round), FederationJson.Default.SpentRound));

    /// <summary>Whether that was noted of a round.</summary>
    /// <exception cref="CoppiceException">The file is damaged.</exception>
    internal bool IsSpent(string run, int round) => File.Exists(SpentFile) && Message.Parse(SpentFile, File.ReadAllBytes(SpentFile), FederationJson.Default.SpentRound) == new SpentRound(run, round);

    /// <summary>Commits a closed round. The model is last: until it is there, the round is not closed.</summary>
    internal void Save(string run, ParameterSet model, ParameterSet? state, ImmutableArray<RoundRecord> records)
    {
        AtomicFile.Write(RecordsFile, stream => JsonSerializer.Serialize(stream, [.. records], FederationJson.Default.RoundRecordArray));
        SafeTensorsWriter.WriteFile(ModelFile, [.. model.Sources(DType.F32), .. (state?.Renamed(name => StatePrefix + name).Sources(DType.F32) ?? [])], new Dictionary<string, string>
        {
            ["run"] = run,
            ["round"] = records[^1].Round.ToString(CultureInfo.InvariantCulture),
        });
    }

    /// <summary>The model, the server's state and the records of the last closed round, or null where there is none.</summary>
    /// <exception cref="CoppiceException">The folder holds another run, or is damaged.</exception>
    internal (ParameterSet Model, ParameterSet? State, ImmutableArray<RoundRecord> Records)? Load(string run, ParameterSet like, ParameterSet? state)
    {
        if (!File.Exists(ModelFile))
            return null;
        using SafeTensors file = SafeTensors.Open(ModelFile);
        if (file.Metadata.GetValueOrDefault("run") != run)
            throw new CoppiceException($"{folder}: holds another run (other model, clients or options); delete it or name another folder");
        ParameterSet? stored = state?.Renamed(name => StatePrefix + name);
        CodecChecks.Check(file, like.Tensors.Concat(stored?.Tensors ?? new Dictionary<string, Tensor>()).Select(part => (part.Key, DType.F32, part.Value.Shape)));
        RoundRecord[] records = Message.Parse(RecordsFile, File.ReadAllBytes(RecordsFile), FederationJson.Default.RoundRecordArray);
        if (!int.TryParse(file.Metadata.GetValueOrDefault("round"), NumberStyles.None, CultureInfo.InvariantCulture, out int round) || round < 1 || records.Length < round)
            throw new CoppiceException($"{folder}: run.safetensors is of round '{file.Metadata.GetValueOrDefault("round")}', rounds.json has {records.Length}; delete the folder to start anew");
        return (like.Map((name, _) => file.ReadTensor(name)), state?.Map((name, _) => file.ReadTensor(StatePrefix + name)), [.. records[..round]]);
    }
}

/// <summary>The last round that clients signed survivors of.</summary>
sealed record SpentRound(string Run, int Round);
