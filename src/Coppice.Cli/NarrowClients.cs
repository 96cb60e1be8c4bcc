using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Coppice.Federation;
using Coppice.Federation.Widths;
using Coppice.Models;

namespace Coppice.Cli;

/// <summary>Clients of different widths: which there are, what each came to, and their models as files.</summary>
static class NarrowClients
{
    static readonly Option<ClientWidths?> Widths = Options.Named("--widths", "WIDTHS", $"Clients train narrower parts of the model, a share of its heads and neurons each: {ClientWidths.Form}", ClientWidths.Find);
    static readonly Option<string?> Folder = Options.Text("--sub-models", "DIR", "Also writes the model of each width below 1, DIR/WIDTH");

    /// <summary>The options.</summary>
    public static IReadOnlyList<Option> All => [Widths, Folder];

    /// <summary>The widths, or null.</summary>
    public static ClientWidths? Of(ParseResult parsed)
    {
        ClientWidths? widths = parsed.GetValue(Widths);
        return widths is not null || parsed.GetValue(Folder) is null ? widths : throw new MisuseException($"{Folder.Name} goes with --widths");
    }

    /// <summary>The parts that clients will have, each once; the model is as the run begins.</summary>
    /// <exception cref="Tensors.CoppiceException">They are to be written, and cannot be.</exception>
    public static IReadOnlyList<SubModel> Parts(ParseResult parsed, string output, FederatedOptions options, DecoderModel model, IEnumerable<string> clients)
    {
        SubModel[] parts = options.Widths is null ? [] : [.. options.Widths.Deal(model, clients, options.Seed).Values.Distinct().OrderBy(part => part.Width)];
        foreach (string place in parsed.GetValue(Folder) is { } folder ? parts.Select(part => PlaceOf(folder, part)) : [])
        {
            ModelArgument.CheckApart(Folder.Name, place, output);
            ModelArgument.CheckTarget(parsed.GetRequiredValue(ModelArgument.Model), place);
        }
        return parts;
    }

    static string PlaceOf(string folder, SubModel part) => Path.Combine(folder, part.Width.ToString(CultureInfo.InvariantCulture));

    /// <summary>Writes the parts, where they are asked for.</summary>
    public static void Save(Session session, ParseResult parsed, LanguageModel language, IReadOnlyList<SubModel> parts)
    {
        if (parsed.GetValue(Folder) is not { } folder)
            return;
        Directory.CreateDirectory(folder);
        foreach (SubModel part in parts)
        {
            string path = PlaceOf(folder, part);
            (language with { Model = part.Build((DecoderModel)language.Model) }).Save(path);
            session.Line($"wrote {path}: {part.Config.HeadCount} of {((DecoderModel)language.Model).Config.HeadCount} heads, {part.Config.IntermediateSize} of {((DecoderModel)language.Model).Config.IntermediateSize} neurons a layer");
        }
    }

    /// <summary>A line a client: its last round.</summary>
    public static void Say(Session session, IReadOnlyList<RoundRecord> rounds) =>
        session.Table(["client", "width", "round", "its model's loss", "after its steps", "bytes up"], Last(rounds).Select(part => (string[])
        [
            part.Client.Client, part.Client.Width.ToString(CultureInfo.InvariantCulture), part.Round.ToString(CultureInfo.InvariantCulture),
            part.Client.LossBefore.ToString("0.000", CultureInfo.InvariantCulture), part.Client.LossAfter.ToString("0.000", CultureInfo.InvariantCulture), part.Client.BytesUp.ToString("N0", CultureInfo.InvariantCulture),
        ]));

    /// <summary>The same as JSON.</summary>
    public static void Write(Utf8JsonWriter json, IReadOnlyList<RoundRecord> rounds) => json.Array("clients", Last(rounds), part =>
    {
        json.WriteString("client", part.Client.Client);
        json.WriteNumber("width", part.Client.Width);
        json.WriteNumber("round", part.Round);
        json.WriteNumber("lossBefore", part.Client.LossBefore);
        json.WriteNumber("lossAfter", part.Client.LossAfter);
        json.WriteNumber("bytesUp", part.Client.BytesUp);
    });

    static IEnumerable<(int Round, ClientRecord Client)> Last(IReadOnlyList<RoundRecord> rounds) =>
        rounds.SelectMany(round => round.Clients.Select(client => (round.Round, Client: client))).GroupBy(part => part.Client.Client, StringComparer.Ordinal).OrderBy(own => own.Key, StringComparer.Ordinal).Select(own => own.MaxBy(part => part.Round));
}
