using Coppice.Compression;
using Coppice.Compression.Prune;
using Coppice.Inference;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Prune;

public class LiveMasksTests
{
    static readonly int[] prompt = [3, 1, 4, 1, 5, 9, 2, 6];

    [Fact]
    public void A_learnt_mask_is_Wandas_on_the_whole_model_and_the_model_comes_back_whole()
    {
        DecoderModel model = Samples.Model();
        float[] before = Logits(model);
        LiveMasks masks = new(model, Samples.Pool);
        masks.Learn("a", Samples.Tokens());
        Assert.Equal(before, Logits(model));
        masks.Switch("a");
        Assert.All(model.Blocks.SelectMany(block => block.Stages).SelectMany(stage => stage.Matrices), linear => Assert.Equal(0.5, linear.Weight.Sparsity(), 0.02));
        Assert.NotEqual(before, Logits(model));

        // The first product's inputs are those of the whole model in the pipeline too.
        DecoderModel other = Samples.Model();
        new CompressionPipeline(new Recipe("r", [new Wanda()]), Samples.Pool).Run(other, Samples.Tokens());
        Assert.Equal(other.Blocks[0].Attention.Query.Weight.ToDense(), model.Blocks[0].Attention.Query.Weight.ToDense());
        masks.Switch(null);
        Assert.Equal(before, Logits(model));
    }

    [Fact]
    public void A_switch_between_two_tokens_changes_what_is_computed_from_there_on_and_nothing_before()
    {
        DecoderModel model = Samples.Model();
        LiveMasks masks = new(model, Samples.Pool);
        masks.Learn("a", Samples.Tokens(seed: 2));
        masks.Learn("b", Samples.Tokens(seed: 3));
        masks.Switch("a");
        Generator generator = New(model);
        generator.Prefill(prompt);
        Assert.True(generator.Next(out _));
        Generator stays = New(model);
        stays.Prefill(prompt);
        Assert.True(stays.Next(out _));
        Assert.Equal(stays.Logits.ToArray(), generator.Logits.ToArray());

        float[] withA = After(stays);
        masks.Switch("b");
        float[] withB = After(generator);
        Assert.NotEqual(withA, withB);
        // Back and forth costs nothing that was computed.
        masks.Switch("a");
        stays.Restart([.. prompt]);
        Assert.Equal(withA, After(Advanced(New(model))));

        float[] After(Generator text)
        {
            text.Prefill([7]);
            return text.Logits.ToArray();
        }

        Generator Advanced(Generator text)
        {
            text.Prefill(prompt);
            Assert.True(text.Next(out _));
            return text;
        }
    }

    [Fact]
    public void A_mask_is_revised_from_what_was_read_while_serving()
    {
        DecoderModel model = Samples.Model();
        LiveMasks masks = new(model, Samples.Pool);
        ForwardContext context = new(Samples.Pool) { OnLinearInput = masks.Observe };
        foreach (int[] sequence in Samples.Tokens())
        {
            Batch batch = new();
            batch.Add(sequence);
            model.Forward(batch, context);
            context.Reset();
        }
        Assert.Equal(6 * 24, masks.ObservedTokens);
        masks.Learn("learnt", Samples.Tokens());
        masks.Revise("revised");
        Assert.Equal(0, masks.ObservedTokens);
        masks.Switch("learnt");
        float[] learnt = Logits(model);
        masks.Switch("revised");
        Assert.Equal(learnt, Logits(model));
        Assert.Contains("no token was observed", Assert.Throws<CoppiceException>(() => masks.Revise("revised")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_is_one_line()
    {
        LiveMasks masks = new(Samples.Model(), Samples.Pool, pattern: new SparsityPattern(2, 4));
        Assert.Equal("there is no mask 'a'; none was learnt", Assert.Throws<CoppiceException>(() => masks.Switch("a")).Message);
        masks.Learn("legal", Samples.Tokens());
        Assert.Equal("there is no mask 'lagal'; the nearest is 'legal'", Assert.Throws<CoppiceException>(() => masks.Switch("lagal")).Message);
        Assert.Contains("no text", Assert.Throws<CoppiceException>(() => masks.Learn("b", [])).Message, StringComparison.Ordinal);
        masks.Switch("legal");
        Assert.Equal(["legal"], masks.Tasks);
        Assert.Contains("2:4", Assert.Throws<CoppiceException>(() => new LiveMasks(Masked(), Samples.Pool)).Message, StringComparison.Ordinal);

        static DecoderModel Masked()
        {
            DecoderModel model = Samples.Model();
            Weight weight = model.Blocks[0].Attention.Query.Weight;
            model.Blocks[0].Attention.Query.Weight = TwoFourWeight.From(weight.Rows, weight.Columns, new float[weight.Shape.Length]);
            return model;
        }
    }

    static Generator New(DecoderModel model) => new(model, new Sampler(Samples.Tiny.VocabularySize, new SamplingOptions(), null), Samples.Pool, activations: ActivationFormat.Float32);

    static float[] Logits(DecoderModel model)
    {
        Batch batch = new();
        batch.Add(prompt);
        return model.Forward(batch, new ForwardContext(Samples.Pool)).Data.ToArray();
    }
}
