using Coppice.Models;
using Coppice.Tensors;
using Coppice.Tests.Compression;
using Coppice.Training;
using Coppice.Training.Quantized;
using Coppice.Weights;

namespace Coppice.Tests.Training.Quantized;

public class QuantizedMatrixTests
{
    public static TheoryData<QuantizedTraining> Ways =>
    [
        new QuantizedTraining { Bits = 4, GroupSize = 16 }, new QuantizedTraining { Bits = 2, GroupSize = 8, Symmetric = false }, new QuantizedTraining { Bits = 8, GroupSize = IntWeight.WholeRow },
        new QuantizedTraining { Bits = 3, GroupSize = 16, Noise = 0.5 }, new QuantizedTraining { Bits = 3, GroupSize = 16, Jitter = 0.3 },
    ];

    [Theory]
    [MemberData(nameof(Ways))]
    public void What_is_stored_is_what_training_saw(QuantizedTraining options)
    {
        foreach (bool isPruned in new[] { false, true })
        {
            (QuantizedMatrix matrix, Parameter parameter) = Create(options, isPruned);
            float[] weights = parameter.Tensor.Data.ToArray();
            matrix.Round(Samples.Pool, seed: 7);
            float[] seen = parameter.Tensor.Data.ToArray();
            matrix.Restore();
            Assert.Equal(weights, parameter.Tensor.Data.ToArray());
            Weight stored = matrix.Store(Samples.Pool, seed: 7);
            Assert.Equal(seen, stored.ToDense());
            Assert.IsType(isPruned ? typeof(TwoFourIntWeight) : typeof(IntWeight), stored);
            for (int i = 0; isPruned && i < seen.Length; i++)
                Assert.True(i % 4 >= 2 || seen[i] == 0, $"number {i} was pruned and is {seen[i]}");
        }
    }

    [Fact]
    public void A_grid_with_zero_points_spans_the_group_when_training_starts()
    {
        (QuantizedMatrix matrix, Parameter parameter) = Create(new QuantizedTraining { Bits = 8, GroupSize = 16, Symmetric = false }, isPruned: false);
        float[] weights = parameter.Tensor.Data.ToArray();
        matrix.Round(Samples.Pool, 0);
        for (int group = 0; group < weights.Length / 16; group++)
        {
            float[] own = weights[(group * 16)..(group * 16 + 16)];
            double half = (own.Max() - own.Min()) / 255 * 0.51;
            for (int i = 0; i < 16; i++)
                // An end may be cut by half a step, since zero is a code.
                Assert.Equal(own[i], parameter.Tensor.Data[group * 16 + i], 2 * half);
        }
    }

    [Fact]
    public void Noise_and_factors_are_drawn_anew_for_each_seed_and_are_as_large_as_told()
    {
        float[] plain = Rounded(new QuantizedTraining { Bits = 8, GroupSize = 16 }, 1), noisy = Rounded(new QuantizedTraining { Bits = 8, GroupSize = 16, Noise = 3 }, 1);
        Assert.NotEqual(noisy, Rounded(new QuantizedTraining { Bits = 8, GroupSize = 16, Noise = 3 }, 2));
        Assert.NotEqual(plain, Rounded(new QuantizedTraining { Bits = 8, GroupSize = 16, Jitter = 0.1 }, 1));
        (QuantizedMatrix matrix, _) = Create(new QuantizedTraining { Bits = 8, GroupSize = 16 }, isPruned: false);
        double[] inSteps = [.. plain.Select((value, i) => (noisy[i] - value) / (matrix.Sizes.Tensor.Data[i / 16] * 2 / Math.Sqrt(127)))];
        Assert.InRange(Math.Sqrt(inSteps.Average(step => step * step)), 2.7, 3.3);

        static float[] Rounded(QuantizedTraining options, int seed)
        {
            (QuantizedMatrix matrix, Parameter parameter) = Create(options, isPruned: false);
            matrix.Round(Samples.Pool, seed);
            return parameter.Tensor.Data.ToArray();
        }
    }

    [Fact]
    public void A_step_s_gradient_is_counted_in_its_own_unit()
    {
        (QuantizedMatrix matrix, Parameter parameter) = Create(new QuantizedTraining { Bits = 3, GroupSize = 16 }, isPruned: false);
        float[] weights = parameter.Tensor.Data.ToArray(), gradient = Samples.Gaussian(weights.Length, 5);
        matrix.Round(Samples.Pool, 0);
        gradient.CopyTo(parameter.Tensor.Grad!.Data);
        matrix.Restore();
        matrix.Back(Samples.Pool);
        for (int group = 0; group < weights.Length / 16; group++)
        {
            double size = matrix.Sizes.Tensor.Data[group], step = (double)(Half)(float)(2 * size / Math.Sqrt(3)), slope = 0;
            for (int i = group * 16; i < group * 16 + 16; i++)
            {
                double place = weights[i] / step;
                slope += gradient[i] * (place <= -4 ? -4 : place >= 3 ? 3 : Math.Round(place) - place);
                Assert.Equal(place is > -4 and < 3 ? gradient[i] : 0, parameter.Tensor.Grad!.Data[i]);
            }
            Assert.Equal(slope / Math.Sqrt(16 * 3) * step / size, matrix.Sizes.Tensor.Grad!.Data[group], 1e-4);
        }
    }

    static (QuantizedMatrix Matrix, Parameter Parameter) Create(QuantizedTraining options, bool isPruned)
    {
        const int Rows = 24, Columns = 32;
        float[] weights = Samples.Gaussian(Rows * Columns, 3), kept = [.. weights.Select((_, i) => isPruned && i % 4 < 2 ? 0f : 1f)];
        Parameter parameter = new("w.weight", Tensor.From([Rows, Columns], [.. weights.Zip(kept, (weight, keep) => weight * keep)]), ParameterKind.Matrix)
        {
            Mask = isPruned ? Tensor.From([Rows, Columns], kept) : null,
        };
        parameter.Tensor.TrackGradient();
        return (new QuantizedMatrix(new Linear(new DenseWeight(parameter.Tensor)), parameter, options), parameter);
    }
}
