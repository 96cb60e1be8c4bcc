namespace Coppice.Weights.Blocks;

/// <summary>A group's numbers between its least and its largest, as llama.cpp rounds Q4_1 and Q5_1.</summary>
static class MinMax
{
    /// <summary>The step between codes 0 and <paramref name="most"/>, its inverse (0 where there is none), and the least number.</summary>
    public static (float Scale, float Inverse, float Min) Of(ReadOnlySpan<float> values, int most)
    {
        float min = float.MaxValue, max = -float.MaxValue;
        foreach (float value in values)
        {
            min = value < min ? value : min;
            max = value > max ? value : max;
        }
        float scale = (max - min) / most;
        return (scale, scale != 0 ? 1 / scale : 0, min);
    }

    /// <summary>A number's code, 0 to <paramref name="most"/>; halves go up.</summary>
    public static int Code(float value, float min, float inverse, int most) => Math.Min(most, (int)((value - min) * inverse + 0.5f));
}
