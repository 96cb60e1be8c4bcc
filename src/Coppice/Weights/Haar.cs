namespace Coppice.Weights;

/// <summary>The orthonormal Haar transform of runs of 2^k numbers: (a + b) / sqrt 2 and (a - b) / sqrt 2 of each two neighbours, then the same of the sums (Haar 1910; Mallat 1989). Sums come first, then differences from the coarsest to the finest.</summary>
static class Haar
{
    const float Half = 0.70710678118654752f;

    /// <summary>Whether runs of a length can be transformed.</summary>
    public static bool Fits(int length) => length >= 2 && int.IsPow2(length);

    /// <summary>Transforms each run of <paramref name="length"/> numbers in place; <paramref name="scratch"/> is as long as one.</summary>
    public static void Forward(Span<float> values, int length, Span<float> scratch)
    {
        for (; values.Length > 0; values = values[length..])
            for (int count = length; count > 1; count /= 2)
            {
                for (int i = 0; i < count / 2; i++)
                {
                    scratch[i] = (values[2 * i] + values[2 * i + 1]) * Half;
                    scratch[count / 2 + i] = (values[2 * i] - values[2 * i + 1]) * Half;
                }
                scratch[..count].CopyTo(values);
            }
    }

    /// <summary>The way back.</summary>
    public static void Inverse(Span<float> values, int length, Span<float> scratch)
    {
        for (; values.Length > 0; values = values[length..])
            for (int count = 2; count <= length; count *= 2)
            {
                for (int i = 0; i < count / 2; i++)
                {
                    scratch[2 * i] = (values[i] + values[count / 2 + i]) * Half;
                    scratch[2 * i + 1] = (values[i] - values[count / 2 + i]) * Half;
                }
                scratch[..count].CopyTo(values);
            }
    }
}
