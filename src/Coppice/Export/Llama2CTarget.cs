using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Export;

/// <summary>llama2.c's file: every number as float32, and no tokenizer.</summary>
sealed class Llama2CTarget : ConversionTarget
{
    public Llama2CTarget(ConversionOptions options)
    {
        if (PlainForm.Parse(options.Type, "llama2.c") is not (null or DType.F32))
            throw new CoppiceException($"llama2.c's file holds f32, not {options.Type}");
    }

    /// <inheritdoc/>
    public override bool IsFolder => false;

    /// <inheritdoc/>
    public override (ImmutableArray<string> Files, ImmutableArray<string> LeftOut) Write(ConversionSource source, string built, string name, WritingOptions writing, Refusal refusal)
    {
        DecoderLlama2C.Save(source.Model.Language.Model as DecoderModel ?? throw new CoppiceException($"{source.Path}: llama2.c computes plain Llama models, and this is a {source.Model.Language.Model.Family}"), built, writing);
        return ([], source.Folder is null ? ["tokenizer"] : LeftOut(source));
    }

    /// <inheritdoc/>
    public override IEnumerable<ConvertedTensor> Compare(ConversionSource source, string built, Refusal refusal, WorkerPool pool)
    {
        ICheckpoint? written = null;
        try
        {
            DecoderModel after = DecoderLlama2C.Open(built, out written);
            foreach (ConvertedTensor tensor in Compare(source.Model.Language.Model, after, refusal, pool))
                yield return tensor;
        }
        finally
        {
            written?.Dispose();
        }
    }
}
