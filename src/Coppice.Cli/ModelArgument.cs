using System.CommandLine;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Cli;

/// <summary>Opens what a MODEL argument names.</summary>
static class ModelArgument
{
    /// <summary>The small model that ships with Coppice.</summary>
    public const string Grove = "grove";

    public static readonly Argument<string> Model = new("model") { Description = "A folder with config.json, a .gguf, a llama2.c .bin beside its tokenizer, or grove, the model that ships with Coppice" };

    /// <summary>A folder or file, or <c>grove</c> where no such path exists.</summary>
    public static LanguageModel Load(string name) => LanguageModel.Load(PathOf(name));

    /// <summary>The same for a command that needs a decoder.</summary>
    public static LanguageModel LoadDecoder(string name) => Load(name) is var language && language.Model is DecoderModel
        ? language
        : throw new CoppiceException($"{name}: {(language.Model is TranslationModel ? "translates, which 'coppice translate' does" : "is an encoder, which reads whole texts")}; this command takes models that predict the next token");

    /// <summary>The folder or file that a name stands for.</summary>
    public static string PathOf(string name) => IsGrove(name) ? Path.Combine(AppContext.BaseDirectory, Grove) : name;

    /// <summary>Whether the name stands for the model that ships with Coppice.</summary>
    public static bool IsGrove(string? name) => name == Grove && !Path.Exists(name);

    /// <summary>Throws unless a folder can be written at <paramref name="output"/> that is not the model itself.</summary>
    public static void CheckTarget(string? model, string output)
    {
        if (model is not null && Path.Exists(model) && Path.GetFullPath(model).TrimEnd(Path.DirectorySeparatorChar) == Path.GetFullPath(output).TrimEnd(Path.DirectorySeparatorChar))
            throw new MisuseException($"{output}: is the model itself; name another output");
        AtomicFolder.CheckTarget(output, ExistingFolder.ReplaceOurs);
    }

    /// <summary>Throws if a further result would lie in the output, or the output in it: each is replaced as a whole.</summary>
    public static void CheckApart(string option, string path, string output)
    {
        if (Whole(path).StartsWith(Whole(output), StringComparison.Ordinal) || Whole(output).StartsWith(Whole(path), StringComparison.Ordinal))
            throw new MisuseException($"{option}: {path} and the output {output} would be one in the other; name a folder beside the output");

        static string Whole(string path) => Path.TrimEndingDirectorySeparator(Path.GetFullPath(path)) + Path.DirectorySeparatorChar;
    }
}
