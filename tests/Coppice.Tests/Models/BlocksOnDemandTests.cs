using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Coppice.Formats;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Evaluation;
using Coppice.Tests.Formats;
using Coppice.Tests.Models.Families;
using Coppice.Tests.Tensors.Simd;
using Coppice.Text;
using Coppice.Training;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Tests.Models;

[Collection(SimdCollection.Name)]
public sealed class BlocksOnDemandTests : IDisposable
{
    readonly WorkerPool pool = new(2);

    public void Dispose() => pool.Dispose();

    [Fact]
    public void Logits_are_the_same_whatever_number_of_blocks_stays_and_memory_is_under_the_limit()
    {
        int[] ids = [.. Enumerable.Range(0, 12).Select(i => i * 11 % 64)];
        float[] wanted = Logits(Quantized(), ids);
        DecoderModel whole = Quantized();
        whole.OnDemand = new BlocksOnDemand(whole, long.MaxValue);
        SimdTesting.SameBits(wanted, Logits(whole, ids), "no limit");
        Assert.Equal((4, 4L), (whole.OnDemand.KeptBlocks, whole.OnDemand.Reads));
        long rest = whole.OnDemand.RestBytes, block = (whole.OnDemand.HeldBytes - rest) / 4;
        foreach ((int room, int kept, int reads) in ((int, int, int)[])[(4, 4, 4), (3, 2, 6), (2, 1, 7), (1, 0, 8)])
        {
            DecoderModel model = Quantized();
            BlocksOnDemand blocks = new(model, rest + room * block);
            model.OnDemand = blocks;
            SimdTesting.SameBits(wanted, Logits(model, ids), $"room for {room} blocks");
            SimdTesting.SameBits(wanted, Logits(model, ids), $"room for {room} blocks, again");
            Assert.Equal((kept, reads), (blocks.KeptBlocks, blocks.Reads));
            Assert.InRange(blocks.HeldBytes, rest + 1, blocks.Limit);
        }
        DecoderModel none = Quantized();
        none.OnDemand = new BlocksOnDemand(none, rest + block - 1);
        Assert.Equal(
            $"a limit of {rest + block - 1:N0} bytes is below the {rest + block:N0} that block 0 and the matrices outside of the blocks or in float32 take; allow more, or compress the model further",
            Assert.Throws<CoppiceException>(() => Logits(none, ids)).Message);
        Assert.Contains("outside of the blocks or in float32 take", Assert.Throws<CoppiceException>(() => new BlocksOnDemand(none, rest)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_text_goes_on_with_the_same_tokens()
    {
        DecoderModel whole = Quantized(), capped = Quantized();
        BlocksOnDemand all = new(whole, long.MaxValue);
        whole.OnDemand = all;
        Generator first = new(whole, new Sampler(), pool);
        first.Generate([1, 2, 3], 12);
        capped.OnDemand = new BlocksOnDemand(capped, all.RestBytes + (all.HeldBytes - all.RestBytes) / 2);
        Generator second = new(capped, new Sampler(), pool);
        second.Generate([1, 2, 3], 12);
        Assert.Equal(first.Tokens.ToArray(), second.Tokens.ToArray());
    }

    [Fact]
    public void Matrices_that_are_not_read_from_a_file_are_refused()
    {
        string message = Assert.Throws<CoppiceException>(() => new BlocksOnDemand(TinyModels.Model(1), 1 << 30)).Message;
        Assert.StartsWith("block 0: a matrix [16, 16] is f32", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Routers_which_GGUF_keeps_in_float32_stay_and_count()
    {
        using TemporaryFolder folder = new();
        new RandomCheckpoint("mixtral").Write(folder.Path);
        ModelGguf.Save(ModelFolder.Load(folder.Path), BpeTrainer.Train(["a"], new BpeTraining { VocabularySize = RandomCheckpoint.Vocabulary }), folder["model.gguf"], "tiny", GgmlType.F16);
        DecoderModel Read() => (DecoderModel)ModelGguf.Load(folder["model.gguf"]).Model;
        int[] ids = [3, 17, 0, 5, 111, 2];
        DecoderModel whole = Read(), capped = Read();
        // An expert's rows stay in the file that all of its layer's are mapped from.
        ReadOnlySpan<ushort> Bits(int expert) => ((HalfWeight)((MixtureOfExperts)whole.Blocks[0].FeedForward).Experts[expert].Up.Weight).Bits;
        Assert.True(Unsafe.AreSame(in Bits(0)[^1], in Unsafe.Subtract(ref MemoryMarshal.GetReference(Bits(1)), 1)));
        long outside = whole.Matrices().Where(matrix => !matrix.Name.Contains(".layers.", StringComparison.Ordinal)).Sum(matrix => matrix.Layer.Weight.ByteCount);
        whole.OnDemand = new BlocksOnDemand(whole, long.MaxValue);
        // Three routers of five experts, 32 wide.
        Assert.Equal(outside + 3 * 5 * 32 * sizeof(float), whole.OnDemand.RestBytes);
        float[] wanted = Logits(whole, ids);
        SimdTesting.SameBits(Logits(Read(), ids), wanted, "no limit");
        capped.OnDemand = new BlocksOnDemand(capped, whole.OnDemand.HeldBytes - 1);
        SimdTesting.SameBits(wanted, Logits(capped, ids), "a limit");
        Assert.Equal((1, 3L), (capped.OnDemand.KeptBlocks, capped.OnDemand.Reads));
        Assert.InRange(capped.OnDemand.HeldBytes, capped.OnDemand.RestBytes + 1, capped.OnDemand.Limit);
    }

    float[] Logits(DecoderModel model, int[] ids) => model.Forward(new Batch(ids), new ForwardContext(pool) { Activations = ActivationFormat.Int8 }).Data.ToArray();

    static DecoderModel Quantized()
    {
        DecoderModel model = Initialization.Random(new DecoderConfig
        {
            HiddenSize = 64,
            IntermediateSize = 96,
            LayerCount = 4,
            HeadCount = 4,
            KeyValueHeadCount = 2,
            HeadWidth = 16,
            VocabularySize = 64,
            ContextLength = 32,
        }, seed: 5);
        foreach ((_, MatrixLayer layer) in model.Matrices().ToList())
            layer.Weight = BlockWeight.From<Q8_0>(layer.Weight.Rows, layer.Weight.Columns, [.. layer.Weight.ToDense().Select(value => 10 * value)]);
        return model;
    }
}
