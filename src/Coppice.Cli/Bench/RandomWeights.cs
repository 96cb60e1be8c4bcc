using Coppice.Tensors;
using Coppice.Weights;
using Coppice.Weights.Blocks;

namespace Coppice.Cli.Bench;

/// <summary>Matrices [outputs, inputs] of random numbers in every storage; inputs are a multiple of 256.</summary>
sealed class RandomWeights(int outputs, int inputs)
{
    readonly Random random = new(1);

    public Weight Of(string kind) => kind switch
    {
        "f32" => new DenseWeight(Tensor.From([outputs, inputs], Numbers())),
        "f16" => HalfWeight.From(HalfFormat.Float16, outputs, inputs, Numbers()),
        "bf16" => HalfWeight.From(HalfFormat.BFloat16, outputs, inputs, Numbers()),
        "int8-g128" => new IntWeight(8, 128, outputs, inputs, Codes(255), Scales(128), []),
        "int4-g32" => new IntWeight(4, 32, outputs, inputs, Codes(15), Scales(32), []),
        "int4-g128-asym" => new IntWeight(4, 128, outputs, inputs, Codes(15), Scales(128), [.. Scales(128).Select(_ => (byte)7)]),
        "2:4-int4-g32" => TwoFourIntWeight.From(4, 32, outputs, inputs, TwoOfFour(), Codes(15), Scales(32), []),
        "2:4-f16" => TwoFourWeight.From(outputs, inputs, TwoOfFour()),
        "sparse-f16" => SparseWeight.From(outputs, inputs, TwoOfFour()),
        _ => (BlockFormat.Find(kind) ?? throw new ArgumentOutOfRangeException(nameof(kind), kind, null)).Round(outputs, inputs, Numbers()),
    };

    float[] Numbers()
    {
        float[] numbers = new float[outputs * inputs];
        foreach (ref float number in numbers.AsSpan())
            number = random.NextSingle() - 0.5f;
        return numbers;
    }

    float[] TwoOfFour()
    {
        float[] numbers = Numbers();
        for (int i = 0; i < numbers.Length; i += 4)
        {
            int first = random.Next(4), second = (first + 1 + random.Next(3)) % 4;
            numbers[i + first] = numbers[i + second] = 0;
        }
        return numbers;
    }

    byte[] Codes(byte mask)
    {
        byte[] codes = new byte[outputs * inputs];
        random.NextBytes(codes);
        foreach (ref byte code in codes.AsSpan())
            code &= mask;
        return codes;
    }

    Half[] Scales(int group) => [.. Enumerable.Repeat((Half)0.01f, outputs * (inputs / group))];
}
