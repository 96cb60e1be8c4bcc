using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Coppice.Tensors.Simd;

/// <summary>Softmax of a row of scores, keys side by side, with the sums of <see cref="AttentionBlock.Softmax"/>: of four, each over the keys that are equal modulo 4.</summary>
internal static unsafe class RowSoftmax
{
    /// <summary>Replaces scores s by e^(scale s - max(scale s)) and returns their sum.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static float Run<TL, TV>(float* scores, int keys, float scale) where TL : struct, ILanes<TV> where TV : struct
    {
        float max = scores[0];
        int key = 0;
        if (keys >= TL.Count)
        {
            TV most = TL.Load(scores);
            for (; key <= keys - TL.Count; key += TL.Count)
                most = TL.Max(TL.Load(scores + key), most);
            float* lanes = stackalloc float[KeyValueBlock.Panel];
            TL.Store(most, lanes);
            for (int lane = 0; lane < TL.Count; lane++)
                max = Lanes1.Max(lanes[lane], max);
        }
        for (; key < keys; key++)
            max = Lanes1.Max(scores[key], max);
        max *= scale;

        key = 0;
        TV factor = TL.Broadcast(scale), shift = TL.Broadcast(-max);
        for (; key <= keys - TL.Count; key += TL.Count)
            TL.Store(Exponential.Exp<TL, TV>(TL.MultiplyAdd(TL.Load(scores + key), factor, shift)), scores + key);
        for (; key < keys; key++)
            scores[key] = Exponential.Exp<Lanes1, float>(Lanes1.MultiplyAdd(scores[key], scale, -max));

        Vector128<float> sums = default;
        for (key = 0; key <= keys - 4; key += 4)
            sums += Vector128.Load(scores + key);
        for (int left = 0; key + left < keys; left++)
            sums = sums.WithElement(left, sums[left] + scores[key + left]);
        return sums[0] + sums[1] + (sums[2] + sums[3]);
    }

    /// <summary>Scores s become tanh(factor s) / factor.</summary>
    public static void Cap<TL, TV>(float* scores, int count, float factor) where TL : struct, ILanes<TV> where TV : struct
    {
        int i = 0;
        for (; i <= count - TL.Count; i += TL.Count)
            TL.Store(TL.Multiply(TL.Broadcast(1 / factor), Exponential.Tanh<TL, TV>(TL.Multiply(TL.Broadcast(factor), TL.Load(scores + i)))), scores + i);
        for (; i < count; i++)
            scores[i] = 1 / factor * Exponential.Tanh<Lanes1, float>(factor * scores[i]);
    }

    /// <summary>values[i] *= factors[i].</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Scale<TL, TV>(float* values, float* factors, int count) where TL : struct, ILanes<TV> where TV : struct
    {
        int i = 0;
        for (; i <= count - TL.Count; i += TL.Count)
            TL.Store(TL.Multiply(TL.Load(values + i), TL.Load(factors + i)), values + i);
        for (; i < count; i++)
            values[i] *= factors[i];
    }
}
