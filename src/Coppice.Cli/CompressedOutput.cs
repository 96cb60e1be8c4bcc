using Coppice.Compression;
using Coppice.Compression.Quantize;
using Coppice.Evaluation;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Cli;

/// <summary>What coppice compress writes: built beside the journal, looked at by the gates, and only then moved to its place.</summary>
sealed class CompressedOutput(string path, bool allowRequantize)
{
    public string Path { get; } = System.IO.Path.TrimEndingDirectorySeparator(path);

    /// <summary>Where the whole output lies until it is published.</summary>
    public string? Built { get; private set; }

    public long Bytes { get; private set; }

    public bool IsGguf => System.IO.Path.GetExtension(Path).Equals(".gguf", StringComparison.OrdinalIgnoreCase);

    /// <summary>Throws before any work if the result could not be written later.</summary>
    public void CheckTarget(string model)
    {
        if (Path.Length == 0)
            throw new MisuseException("--output is empty");
        if (System.IO.Path.GetFullPath(Path) == System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(model)))
            throw new MisuseException($"{Path}: is the model itself; name another output");
        if (System.IO.Path.GetExtension(Path).ToLowerInvariant() is ".onnx" or ".bin" or ".safetensors" && !Directory.Exists(Path))
            throw new MisuseException($"{Path}: compress writes NAME.gguf or a Hugging Face folder, which this looks like neither of; coppice convert makes the other formats of either");
        if (!IsGguf)
            AtomicFolder.CheckTarget(Path, ExistingFolder.ReplaceOurs);
        else if (Directory.Exists(Path))
            throw new CoppiceException($"{Path}: is a folder, wanted a .gguf file to write");
        else if (File.Exists(Path) && !Gguf.Is(Path))
            throw new CoppiceException($"{Path}: is there and is no GGUF file; move it away, or name another output");
    }

    /// <summary>Throws if safetensors would have to round GGUF's blocks, which were rounded before.</summary>
    void CheckBlocks(int blocks, string what)
    {
        if (blocks > 0 && !IsGguf && !allowRequantize)
            throw new CoppiceException($"{Path}: {blocks} {what} give GGUF blocks, which a Hugging Face folder cannot hold exactly; write NAME.gguf, or round them to f16 with --allow-requantize");
    }

    /// <summary>Throws before any work if what a recipe makes of the model could not be written.</summary>
    public RecipePlan Check(Model model, Recipe recipe)
    {
        CheckBlocks(recipe.Steps.OfType<GgufBlock>().Count(), "steps");
        RecipePlan plan = new(recipe, model);
        return ModelStorage.Refuses(model, IsGguf, plan.Packed) is { } reason ? throw new CoppiceException($"{Path}: {reason}") : plan;
    }

    /// <summary>The bytes that a model takes as it is written: it is, beside its place, and taken away again.</summary>
    public long Measure(LanguageModel language)
    {
        string place = IsGguf ? System.IO.Path.ChangeExtension(Path, ".measured.gguf") : Path + ".measured";
        try
        {
            if (IsGguf)
                language.SaveGguf(place);
            else
                language.Save(place);
            return MemoryProbe.DiskBytes(place);
        }
        finally
        {
            Remove(place);
        }
    }

    /// <summary>Writes everything, in the journal's folder.</summary>
    /// <returns>What was rounded a second time.</returns>
    public IReadOnlyList<GgufRounding> Build(LanguageModel language, Journal journal, WorkerPool pool)
    {
        Built = journal.PlaceFor(System.IO.Path.GetFileName(Path));
        IReadOnlyList<GgufRounding> roundings;
        if (IsGguf)
        {
            roundings = language.SaveGguf(Built, pool: pool);
            if (roundings.Count > 0 && !allowRequantize)
                throw new CoppiceException($"{Path}: {roundings.Count} tensors would be rounded again, such as {roundings[0].Tensor} from {roundings[0].From} to {roundings[0].To}; "
                    + "run again with --allow-requantize (the work done is kept), or, from the start, write a folder or round to a type of GGUF");
        }
        else
        {
            List<(string Name, MatrixLayer Layer)> blocks = [.. language.Model.Matrices().Where(matrix => BlockFormat.All.Any(format => format.Name == matrix.Layer.Weight.Kind))];
            CheckBlocks(blocks.Count, "matrices");
            language.Save(Built);
            roundings = [.. blocks.Select(block => new GgufRounding(block.Name, block.Layer.Weight.Kind, GgmlType.F16))];
        }
        Bytes = MemoryProbe.DiskBytes(Built);
        return roundings;
    }

    /// <summary>Writes everything through <paramref name="write"/>, beside its place.</summary>
    public CompressionReport Build(Func<string, CompressionReport> write)
    {
        Built = IsGguf ? System.IO.Path.ChangeExtension(Path, ".unpublished.gguf") : Path + ".unpublished";
        CompressionReport report = write(Built);
        Bytes = MemoryProbe.DiskBytes(Built);
        return report;
    }

    /// <summary>A report with kinds and bytes as they are in what was built.</summary>
    public CompressionReport AsWritten(CompressionReport report)
    {
        using OpenModel written = OpenModel.Open(Built!);
        return report.As(written.Language.Model);
    }

    public void Publish()
    {
        if (IsGguf)
            File.Move(Built!, Path, overwrite: true);
        else
            AtomicFolder.Move(Built!, Path, ExistingFolder.ReplaceOurs);
    }

    /// <summary>Takes away what was built and not published.</summary>
    public void Discard() => Remove(Built);

    static void Remove(string? place)
    {
        if (File.Exists(place))
            File.Delete(place);
        else if (Directory.Exists(place))
            Directory.Delete(place, recursive: true);
    }
}
