using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Export;

/// <summary>llama.cpp's file. A matrix keeps its numbers in the narrowest type whose grid is the same; a type asked for is that of every matrix.</summary>
sealed class GgufTarget(ConversionOptions options) : ConversionTarget
{
    readonly GgmlType? type = options.Type is null ? null
        : GgmlType.All.FirstOrDefault(known => known.Name.Equals(options.Type, StringComparison.OrdinalIgnoreCase)) ?? throw new CoppiceException($"gguf has no type '{options.Type}'");

    /// <inheritdoc/>
    public override bool IsFolder => false;

    /// <inheritdoc/>
    public override (ImmutableArray<string> Files, ImmutableArray<string> LeftOut) Write(ConversionSource source, string built, string name, WritingOptions writing, Refusal refusal)
    {
        LanguageModel language = source.Model.Language;
        ModelGguf.Save(language.Model, language.Tokenizer, built, name, writing, (matrix, weight) => TypeOf(matrix + ".weight", DeferredWeight.Made(weight), refusal));
        return ([], LeftOut(source, "tokenizer.json", "chat_template.jinja"));
    }

    GgmlType TypeOf(string matrix, Weight made, Refusal refusal)
    {
        bool isPacked = PlainForm.IsPacked(made), hasGrid = !isPacked || made is BlockWeight;
        GgmlType own = isPacked ? GgufBlocks.TypeOf(made) : Plain(PlainForm.TypeOf(made)), wanted = type ?? (hasGrid ? own : GgmlType.F16);
        if (hasGrid && wanted == own || wanted == GgmlType.F32)
            return wanted;
        if (isPacked)
            refusal.Note(matrix, hasGrid ? $"it is {made.Kind}, wanted {wanted}" : $"no type of GGUF has the grid of {made.Kind} [{made.Rows}, {made.Columns}]");
        if (made.Columns % wanted.BlockSize == 0)
            return wanted;
        refusal.NotePlain(matrix, $"rows of {made.Columns} numbers are no whole blocks of {wanted}");
        return GgmlType.F16;
    }

    static GgmlType Plain(DType type) => type switch { DType.F16 => GgmlType.F16, DType.BF16 => GgmlType.BF16, _ => GgmlType.F32 };

    /// <inheritdoc/>
    public override IEnumerable<ConvertedTensor> Compare(ConversionSource source, string built, Refusal refusal, WorkerPool pool)
    {
        using OpenModel written = OpenModel.Open(built);
        foreach (ConvertedTensor tensor in Compare(source.Model.Language.Model, written.Language.Model, refusal, pool))
            yield return tensor;
    }
}
