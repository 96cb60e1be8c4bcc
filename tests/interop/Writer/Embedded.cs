using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Interop;

/// <summary>What an encoder's file makes of some ids.</summary>
/// <param name="File">The .gguf.</param>
/// <param name="Ids">BOS first and EOS last, where the tokenizer has them.</param>
/// <param name="Vector">The pooled embedding at length one, or a classifier's scores.</param>
sealed record Embedded(string File, int[] Ids, float[] Vector)
{
    /// <summary>Embeds, or classifies, texts of several lengths.</summary>
    public static IEnumerable<Embedded> Record(LanguageModel language, string file, WorkerPool pool)
    {
        EncoderModel model = (EncoderModel)language.Model;
        Random random = new(1);
        foreach (int length in new[] { 1, 5, 40, 100 })
        {
            int[] ids =
            [
                .. language.Tokenizer.BosId is { } bos ? (int[])[bos] : [],
                .. Enumerable.Range(0, length).Select(_ => random.Next(10, language.Tokenizer.Count)),
                .. language.Tokenizer.EosId is { } eos ? (int[])[eos] : [],
            ];
            ForwardContext context = new(pool);
            yield return new Embedded(file, ids, (model.Config.Task == EncoderTask.Classification ? model.Forward(new Batch(ids), context) : model.Encode(new Batch(ids), model.Config.Pooling, context)).Data.ToArray());
        }
    }
}
