using Coppice.Compression;
using Coppice.Compression.Structured;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Weights;

namespace Coppice.Tests.Compression.Structured;

public class ReconstructionTests
{
    [Fact]
    public void A_neuron_that_others_tell_is_made_up_for()
    {
        // x_3 = 2 x_0 - x_1: w_0 takes up twice, w_1 minus once what w_3 had.
        float[] x = [.. Samples.Gaussian(300, 4).Chunk(3).SelectMany(row => (float[])[.. row, 2 * row[0] - row[1]])];
        Linear linear = new(new DenseWeight(Tensor.From([2, 4], [1, 2, 3, 4, 5, 6, 7, -1])));
        Reconstruction rebuilt = Reconstruction.Of(Work, linear, [0, 1, 2], Seen(x, 4), 1e-6);
        Assert.Equal([9, -2, 3, 3, 7, 7], rebuilt.Weights.ToDense(), (a, b) => Math.Abs(a - b) < 1e-3);
        Assert.True(rebuilt.ErrorWith < 1e-6 && rebuilt.ErrorWithout > 0.1);
        Assert.Null(rebuilt.Bias);
    }

    [Fact]
    public void A_bias_takes_up_what_is_constant()
    {
        // The third input is 5 whatever the others do, and the first one about 1.
        float[] x = [.. Samples.Gaussian(200, 4).Chunk(2).SelectMany(row => (float[])[row[0] + 1, row[1], 5])];
        Linear linear = new(new DenseWeight(Tensor.From([1, 3], [1, 2, 3])), Tensor.From([1], [10]));
        Reconstruction rebuilt = Reconstruction.Of(Work, linear, [0, 1], Seen(x, 3), 1e-6);
        Assert.Equal([1, 2], rebuilt.Weights.ToDense(), (a, b) => Math.Abs(a - b) < 1e-4);
        Assert.Equal(25, rebuilt.Bias!.Single(), 1e-3);
        Assert.True(rebuilt.ErrorWith < 1e-5);
    }

    [Theory]
    [InlineData(1e-4), InlineData(0.01), InlineData(0.9)]
    public void Outputs_are_never_worse_than_without_it(double dampening)
    {
        float[] x = Samples.Inputs(100, 16, 3), weights = Samples.Gaussian(5 * 16, 8);
        Linear linear = new(new DenseWeight(Tensor.From([5, 16], weights)));
        int[] kept = [0, 2, 3, 5, 8, 13, 14];
        Reconstruction rebuilt = Reconstruction.Of(Work, linear, kept, Seen(x, 16), dampening);
        double with = Error(rebuilt.Weights.ToDense()), without = Error([.. Enumerable.Range(0, 5).SelectMany(row => kept.Select(j => weights[row * 16 + j]))]), all = Samples.Objective(weights, new float[weights.Length], x, 16);
        Assert.True(with < without);
        // What is reported is what plain loops find.
        Assert.Equal(with / all, rebuilt.ErrorWith, 1e-5);
        Assert.Equal(without / all, rebuilt.ErrorWithout, 1e-5);

        double Error(float[] smaller)
        {
            float[] spread = new float[5 * 16];
            for (int i = 0; i < smaller.Length; i++)
                spread[i / kept.Length * 16 + kept[i % kept.Length]] = smaller[i];
            return Samples.Objective(weights, spread, x, 16);
        }
    }

    [Fact]
    public void A_model_whose_neurons_come_in_pairs_loses_every_second_for_nothing()
    {
        DecoderModel model = Samples.Model();
        foreach (FeedForward part in model.Blocks.Select(block => (FeedForward)block.FeedForward))
            foreach (Linear reader in part.ReadTogether)
                for (int neuron = 0; neuron < 64; neuron += 2)
                    Numbers(reader).Slice(neuron * 32, 32).CopyTo(Numbers(reader)[((neuron + 1) * 32)..]);
        Assert.Equal(Logits(model), Logits((DecoderModel)new SurgeonNeurons { Share = 0.5, Dampening = 1e-6 }.Apply(new ModelWork { Model = model, Pool = Samples.Pool, Calibration = Samples.Tokens() })), (a, b) => Math.Abs(a - b) < 1e-4);
        foreach (ModelStep step in new ModelStep[] { new MergeNeurons { Share = 0.5 }, new MergeNeurons { Share = 0.5, Reconstruct = Compensation.LeastSquares, Dampening = 1e-6 } })
        {
            ModelWork work = new() { Model = model, Pool = Samples.Pool, Calibration = Samples.Tokens() };
            DecoderModel small = (DecoderModel)step.Apply(work);
            Assert.Equal(32, small.Config.IntermediateSize);
            Assert.Equal(Logits(model), Logits(small), (a, b) => Math.Abs(a - b) < 1e-5);
            Assert.StartsWith("layer 1: 32 of 64 neurons went, merged into those most alike, of which 0.0 % of the mean square was not", work.Notes[1], StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("pruneNeurons: { share: 0.5"), InlineData("mergeNeurons: { share: 0.5"), InlineData("graphPruning: { share: 0.5"), InlineData("pruneHeads: { share: 0.5"), InlineData("pruneHeads: { share: 0.5, score: random, unit: query"), InlineData("pruneChannels: { share: 0.25, multiple: 8")]
    public void Every_choice_is_better_with_it(string step)
    {
        DecoderModel model = Samples.Model();
        foreach ((_, MatrixLayer layer) in model.Matrices())
            foreach (ref float value in Numbers(layer))
                value *= 10;
        double[] distance = [.. new[] { "false", "true" }.Select(reconstruct =>
        {
            ModelStep one = (ModelStep)RecipeReader.Parse($"steps:\n  - {step}, reconstruct: {reconstruct} }}\n", "test").Steps[0];
            int[][] text = Samples.Tokens(sequences: 60);
            return Logits(model, text[0]).Zip(Logits((DecoderModel)one.Apply(new ModelWork { Model = model, Pool = Samples.Pool, Calibration = text }), text[0])).Sum(pair => Math.Pow(pair.First - pair.Second, 2));
        })];
        Assert.True(distance[1] < distance[0], string.Join(" -> ", distance));
    }

    static ModelWork Work => new() { Model = Samples.Model(), Pool = Samples.Pool };

    static Inputs Seen(float[] x, int columns)
    {
        Inputs inputs = new(columns, Statistics.Gram);
        inputs.Add(Samples.Pool, x);
        return inputs;
    }

    static Span<float> Numbers(MatrixLayer layer) => ((DenseWeight)layer.Weight).Values.Data;

    static float[] Logits(DecoderModel model, params int[] tokens) => model.Forward(new Batch(tokens.Length > 0 ? tokens : [3, 17, 0, 5, 5, 11, 2, 8]), new ForwardContext(Samples.Pool)).Data.ToArray();
}
