using System.CommandLine;
using Coppice.Models;
using Coppice.Training;

namespace Coppice.Cli;

/// <summary>coppice train's --lora: changes of low rank beside a model's matrices.</summary>
static class TrainAdapters
{
    static readonly Option<int?> Rank = Options.OptionalInteger("--lora", "Leave MODEL's matrices as they are and train a change of rank N beside each; OUT has both merged");
    static readonly Option<double> Alpha = Options.Number("--lora-alpha", "The changes' factor, times the rank", value: 16);
    static readonly Option<string[]> Targets = new("--lora-targets") { Description = "The matrices that get one: globs, re: with a regular expression, kind: with a part of the model; all of the blocks by default", HelpName = "TARGET", AllowMultipleArgumentsPerToken = true };
    static readonly Option<string?> Folder = Options.Text("--adapter", "DIR", "With --lora: a folder to write the changes alone to, in PEFT's layout");

    /// <summary>The options.</summary>
    public static IReadOnlyList<Option> All => [Rank, Alpha, Targets, Folder];

    /// <summary>Finds what cannot be before any work.</summary>
    public static void Check(ParseResult parsed, string? model, string output)
    {
        if (parsed.GetValue(Rank) is null)
        {
            if (parsed.GetValue(Folder) is not null || parsed.GetValue(Targets) is { Length: > 0 })
                throw new MisuseException("--adapter and --lora-targets go with --lora, which is not there");
            return;
        }
        if (model is null)
            throw new MisuseException("--lora trains a change of a model, and no MODEL is there");
        if (parsed.GetValue(Folder) is { } folder)
        {
            if (Path.GetFullPath(folder).TrimEnd(Path.DirectorySeparatorChar) == Path.GetFullPath(output).TrimEnd(Path.DirectorySeparatorChar))
                throw new MisuseException($"{folder}: --adapter is the output itself; name another folder");
            ModelArgument.CheckTarget(model, folder);
        }
    }

    /// <summary>Puts them beside the matrices.</summary>
    public static void Attach(ParseResult parsed, LanguageModel language, Session session)
    {
        if (parsed.GetValue(Rank) is not { } rank)
            return;
        Lora.Attach(language.Model, new LoraOptions { Rank = rank, Alpha = parsed.GetValue(Alpha), Targets = [.. parsed.GetValue(Targets) ?? []] }, session.Seed);
        if (parsed.GetValue(Folder) is { } folder)
            AdapterFolder.Names(folder, (DecoderModel)language.Model);
        IReadOnlyList<(string Name, Linear Layer)> adapted = Lora.Adapted(language.Model);
        session.Say($"lora: {adapted.Count} matrices, {adapted.Sum(part => (long)part.Layer.Adapter!.A.Shape.Length + part.Layer.Adapter.B.Shape.Length):N0} parameters train");
    }

    /// <summary>Writes them where asked, and adds them to the matrices.</summary>
    public static void Merge(ParseResult parsed, LanguageModel language, TrainingOptions options, Session session)
    {
        if (parsed.GetValue(Rank) is null)
            return;
        if (parsed.GetValue(Folder) is { } folder)
        {
            AdapterFolder.Write(folder, (DecoderModel)language.Model, language.Source);
            session.Say($"wrote {folder}");
        }
        (int merged, int pruned) = Lora.Merge(language.Model, session.Pool, options.Zeros);
        session.Say($"lora: merged into {merged} matrices, now of floats{(pruned > 0 ? $"; {pruned} are pruned and kept their zeros, so that what fell on these is lost (--zeros train keeps it)" : "")}");
    }
}
