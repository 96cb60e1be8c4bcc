using System.Collections.Immutable;
using System.Text.Json.Nodes;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Export;

/// <summary>A Hugging Face folder, packed matrices in the parts of a layout or, with none, spread out. Of another folder it needs no family: tensors go from name to name, and what is plain is copied.</summary>
sealed class FolderTarget(ConversionOptions options) : ConversionTarget
{
    readonly QuantizationLayout? layout = options.Format switch
    {
        ModelFormat.CompressedTensors => QuantizationLayout.CompressedTensors,
        ModelFormat.Gptq => QuantizationLayout.Gptq,
        ModelFormat.Awq => QuantizationLayout.Awq,
        _ => null,
    };

    readonly DType? type = PlainForm.Parse(options.Type, "a folder");

    /// <inheritdoc/>
    public override bool IsFolder => true;

    /// <inheritdoc/>
    public override (ImmutableArray<string> Files, ImmutableArray<string> LeftOut) Write(ConversionSource source, string built, string name, WritingOptions writing, Refusal refusal)
    {
        List<CheckpointEntry> matrices = [];
        List<TensorSource> tensors = [];
        foreach ((CheckpointEntry? entry, TensorEntry? stored, IReadOnlyList<string> ours) in Tensors(source))
            if (entry is null)
                tensors.Add(TensorSource.Copy(stored!));
            else if (entry.Weight is { } weight)
                matrices.Add(new CheckpointEntry(entry.Name, Placed(entry.Name, weight, ours, refusal)));
            else
                tensors.Add(TensorSource.Floats(entry.Name, type ?? DType.F32, entry.Tensor!));
        (ImmutableArray<TensorSource> parts, JsonObject? quantization) = (layout ?? QuantizationLayout.CompressedTensors).Encode(matrices, DType.F32);
        if (layout is { } asked && asked != QuantizationLayout.CompressedTensors && quantization is null)
            throw new CoppiceException($"{source.Path}: has no matrix of integers for {asked}'s parts; compress it first");
        SafeTensorsWriter.WriteFolder(built, [.. parts, .. tensors], new Dictionary<string, string> { ["format"] = "pt" }, writing);
        FolderFiles.WriteConfig(source, built, type, quantization);
        return FolderFiles.Complete(source, built);
    }

    // Of a folder what is plain and keeps its type is no entry but the tensor itself.
    IEnumerable<(CheckpointEntry? Entry, TensorEntry? Stored, IReadOnlyList<string> Ours)> Tensors(ConversionSource source)
    {
        if (source.Folder is not { } folder)
        {
            foreach ((CheckpointEntry entry, IReadOnlyList<string> ours) in ModelFolder.Stored(source.Model.Language.Model, layout is null ? weight => weight : GgufGrids.ToIntegers))
                yield return (entry, null, ours);
            yield break;
        }
        foreach (string name in folder.Names)
        {
            TensorEntry? stored = folder.Entry(name);
            bool isFloat = stored is null || stored.DType is DType.F32 or DType.F64 or DType.F16 or DType.BF16 or DType.F8_E4M3 or DType.F8_E5M2;
            if (isFloat && folder.ShapeOf(name).Length == 2)
                yield return (new CheckpointEntry(name, folder.OpenWeight(name)), stored, [name]);
            else if (isFloat && type is not null)
                yield return (new CheckpointEntry(name, folder.ReadTensor(name)), stored, [name]);
            else
                yield return (null, stored, [name]);
        }
    }

    Weight Placed(string name, Weight weight, IReadOnlyList<string> ours, Refusal refusal)
    {
        Weight made = DeferredWeight.Made(weight);
        if (!PlainForm.IsPacked(made) && (made is not (SparseWeight or TwoFourWeight) || layout != QuantizationLayout.CompressedTensors))
        {
            bool keeps = type is null ? made is not (SparseWeight or TwoFourWeight) : type == PlainForm.TypeOf(made);
            return keeps ? weight : PlainForm.As(weight, type ?? PlainForm.TypeOf(made));
        }
        string? fault = layout is { } asked ? asked.Fault(name, made) : null;
        if (layout is not null && fault is null)
            return weight;
        if (type == DType.F32 || type is null && layout is null)
            return PlainForm.As(weight, DType.F32);
        foreach (string tensor in ours)
            refusal.Note(tensor, fault ?? $"{made.Kind} as plain {type}");
        return PlainForm.As(weight, type ?? DType.F16);
    }

    /// <inheritdoc/>
    public override IEnumerable<ConvertedTensor> Compare(ConversionSource source, string built, Refusal refusal, WorkerPool pool)
    {
        if (source.Folder is not { } folder)
        {
            ICheckpoint? checkpoint = null;
            try
            {
                Model after = ModelFolder.Open(built, out checkpoint);
                foreach (ConvertedTensor tensor in Compare(source.Model.Language.Model, after, refusal, pool))
                    yield return tensor;
            }
            finally
            {
                checkpoint?.Dispose();
            }
            yield break;
        }
        using ICheckpoint written = Checkpoint.Open(built, WeightReading.OnDemand);
        foreach (string name in folder.Names)
        {
            TensorEntry? before = folder.Entry(name), after = written.Entry(name);
            if (before is not null && after is not null && before.DType == after.DType && before.HasBytesOf(after))
                yield return new ConvertedTensor(name, KindOf(before), KindOf(after), before.Count, before.ByteCount, 0, 0, null);
            else
            {
                ConvertedTensor tensor = Compare(Entry(folder, name), Entry(written, name), refusal.Of(name), pool);
                yield return before is null || after is null || after.Shape.Length == 2 ? tensor : tensor with { From = KindOf(before), To = KindOf(after), Bytes = after.ByteCount };
            }
        }

        static CheckpointEntry Entry(ICheckpoint checkpoint, string name) => checkpoint.ShapeOf(name).Length == 2 ? new(name, checkpoint.OpenWeight(name)) : new(name, checkpoint.ReadTensor(name));

        static string KindOf(TensorEntry entry) => entry.DType.ToString().ToLowerInvariant();
    }
}
