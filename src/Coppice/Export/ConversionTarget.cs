using System.Collections.Immutable;
using Coppice.Export.Onnx;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Export;

/// <summary>A format: how a model is written in it, and how it is read back.</summary>
abstract class ConversionTarget
{
    /// <summary>The target of some options.</summary>
    /// <exception cref="CoppiceException">The format has no such type.</exception>
    public static ConversionTarget Of(ConversionOptions options) => options.Format switch
    {
        ModelFormat.Gguf => new GgufTarget(options),
        ModelFormat.Llama2C => new Llama2CTarget(options),
        ModelFormat.Onnx => new OnnxTarget(options),
        _ => new FolderTarget(options),
    };

    /// <summary>Whether a folder is written.</summary>
    public abstract bool IsFolder { get; }

    /// <summary>Writes everything.</summary>
    /// <returns>Files that came along, and what was left out.</returns>
    public abstract (ImmutableArray<string> Files, ImmutableArray<string> LeftOut) Write(ConversionSource source, string built, string name, WritingOptions options, Refusal refusal);

    /// <summary>Every tensor before and after, read from the file that was written.</summary>
    public abstract IEnumerable<ConvertedTensor> Compare(ConversionSource source, string built, Refusal refusal, WorkerPool pool);

    /// <summary>The parameters of a model before and after, by our names.</summary>
    protected static IEnumerable<ConvertedTensor> Compare(Model before, Model after, Refusal refusal, WorkerPool pool)
    {
        Dictionary<string, CheckpointEntry> written = ModelCheckpoint.Entries(after).ToDictionary(entry => entry.Name, StringComparer.Ordinal);
        foreach (CheckpointEntry entry in ModelCheckpoint.Entries(before))
            yield return Compare(entry, written[entry.Name], refusal.Of(entry.Name), pool);
    }

    /// <summary>One tensor before and after.</summary>
    protected static ConvertedTensor Compare(CheckpointEntry before, CheckpointEntry after, string? reason, WorkerPool pool)
    {
        if (before.Weight is not { } weight)
        {
            Difference vectors = Difference.Of(before.Tensor!.Data, after.Tensor!.Data);
            return new ConvertedTensor(before.Name, "f32", "f32", before.Shape.Length, 4L * before.Shape.Length, vectors.Changed, vectors.Largest, reason);
        }
        Weight was = DeferredWeight.Made(weight), now = DeferredWeight.Made(after.Weight!);
        Difference difference = Difference.Of(was, now, pool);
        return new ConvertedTensor(before.Name, was.Kind, now.Kind, (long)was.Rows * was.Columns, now.ByteCount, difference.Changed, difference.Largest, reason);
    }

    /// <summary>What a file of one model has no place for: of a folder the files that <paramref name="held"/> does not name.</summary>
    protected static ImmutableArray<string> LeftOut(ConversionSource source, params string[] held) =>
        source.Folder is null ? [] : [.. SideFiles.Of(source.Path).Except(held), .. SideFiles.Folders(source.Path)];
}
