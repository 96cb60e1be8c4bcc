using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Coppice.Models;

namespace Coppice.Cli;

/// <summary>--memory: how many bytes the matrices of a model may take, those that do not fit being read again in every pass.</summary>
static class MemoryArgument
{
    public static Option<string?> Create() => Options.Text("--memory", "SIZE", "The most that the model's matrices may take in memory, as 300MB; blocks beyond that are read from their file in every pass");

    public static void Apply(string? size, LanguageModel language)
    {
        if (size is null)
            return;
        if (!ByteSize.TryParse(size, out long bytes))
            throw new MisuseException($"--memory is '{size}', wanted a size as 300MB");
        language.Model.OnDemand = new BlocksOnDemand(language.Model, bytes);
    }

    public static void Tell(Session session, LanguageModel language)
    {
        if (language.Model.OnDemand is { } blocks)
            session.Say(string.Create(CultureInfo.InvariantCulture,
                $"matrices: {ByteSize.Show(blocks.HeldBytes)} of at most {ByteSize.Show(blocks.Limit)}; {blocks.KeptBlocks} of {language.Model.Blocks.Count} blocks stayed, blocks were read {blocks.Reads} times"));
    }

    public static void Write(Utf8JsonWriter json, BlocksOnDemand blocks)
    {
        json.WriteNumber("matrixBytes", blocks.HeldBytes);
        json.WriteNumber("keptBlocks", blocks.KeptBlocks);
        json.WriteNumber("blockReads", blocks.Reads);
    }
}
