using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Text;

namespace Coppice.Tests.Compression;

public sealed class PrunedFilesTests : IDisposable
{
    static readonly int[] tokens = [3, 17, 0, 5, 5, 111, 2, 8, 214, 1, 256, 4];

    readonly TemporaryFolder folder = new();
    readonly TemporaryFolder pruned = new();

    public void Dispose()
    {
        folder.Dispose();
        pruned.Dispose();
    }

    public static TheoryData<string> Kinds => [.. RandomCheckpoint.Families];

    // Families store matrices stacked, turned, or one by one.
    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_pruned_model_of_any_family_comes_back_from_its_files_with_every_zero(string kind)
    {
        new RandomCheckpoint(kind).Write(folder.Path);
        foreach (PruneStep step in new PruneStep[] { new Magnitude { Sparsity = 0.6 }, new Magnitude { Sparsity = 0.6, Targets = ["*.q_proj", "*.down_proj"] } })
        {
            DecoderModel model = (DecoderModel)ModelFolder.Load(folder.Path);
            new CompressionPipeline(new Recipe("r", [step]), Samples.Pool).Run(model, []);
            float[] wanted = Logits(model);

            ModelFolder.Save(model, pruned.Path, DType.F32, null, null);
            Close(wanted, Logits((DecoderModel)ModelFolder.Load(pruned.Path)));
            if (kind is not ("llama" or "mixtral" or "qwen2" or "qwen3" or "qwen3_moe" or "phi3" or "olmo2" or "gpt2" or "gpt_neox"))
                continue;
            string file = Path.Combine(pruned.Path, "model.gguf");
            ModelGguf.Save(model, BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomCheckpoint.Vocabulary }), file, "model", GgmlType.F16);
            Close(wanted, Logits((DecoderModel)ModelGguf.Load(file).Model));
        }
    }

    static void Close(float[] wanted, float[] found)
    {
        double size = Math.Sqrt(wanted.Sum(value => (double)value * value) / wanted.Length);
        for (int i = 0; i < wanted.Length; i++)
            Assert.True(Math.Abs(wanted[i] - found[i]) <= 1e-5 * size, $"logit {i}: {found[i]}, wanted {wanted[i]}");
    }

    static float[] Logits(DecoderModel model)
    {
        Batch batch = new();
        batch.Add(tokens);
        return model.Forward(batch, new ForwardContext(Samples.Pool)).Data.ToArray();
    }
}
