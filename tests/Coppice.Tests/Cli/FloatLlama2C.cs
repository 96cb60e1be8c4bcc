using System.Runtime.InteropServices;

namespace Coppice.Tests.Cli;

/// <summary>
/// A generator for llama2.c's legacy .bin written only for tests: float32, one number after another in llama2.c's order. The file is seven int32 (width,
/// feed-forward width, layers, heads, key-value heads, vocabulary, context) and then float32 weights, kind after kind, each kind for all layers.
/// </summary>
sealed class FloatLlama2C
{
    readonly int width, inner, layers, heads, keyHeads, vocabulary, keyWidth;
    readonly float[] embedding, attentionNorm, query, key, value, output, innerNorm, gate, down, up, lastNorm;
    readonly List<float[]>[] keys, values;

    public FloatLlama2C(string path)
    {
        byte[] file = File.ReadAllBytes(path);
        int[] sizes = MemoryMarshal.Cast<byte, int>(file.AsSpan(0, 28)).ToArray();
        float[] weights = MemoryMarshal.Cast<byte, float>(file.AsSpan(28)).ToArray();
        (width, inner, layers, heads, keyHeads, vocabulary) = (sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5]);
        keyWidth = width / heads * keyHeads;
        int at = 0;
        embedding = Take(vocabulary * width);
        attentionNorm = Take(layers * width);
        query = Take(layers * width * width);
        key = Take(layers * keyWidth * width);
        value = Take(layers * keyWidth * width);
        output = Take(layers * width * width);
        innerNorm = Take(layers * width);
        gate = Take(layers * inner * width);
        down = Take(layers * width * inner);
        up = Take(layers * inner * width);
        lastNorm = Take(width);
        keys = [.. Enumerable.Range(0, layers).Select(_ => new List<float[]>())];
        values = [.. Enumerable.Range(0, layers).Select(_ => new List<float[]>())];

        float[] Take(int count) => weights[at..(at += count)];
    }

    /// <summary>The likeliest tokens after a prompt, one after another.</summary>
    public int[] Greedy(int[] prompt, int count)
    {
        float[] logits = [];
        foreach (int token in prompt)
            logits = Read(token);
        int[] made = new int[count];
        for (int i = 0; i < count; i++)
        {
            made[i] = Array.IndexOf(logits, logits.Max());
            logits = Read(made[i]);
        }
        return made;
    }

    float[] Read(int token)
    {
        int position = keys[0].Count;
        float[] x = embedding[(token * width)..((token + 1) * width)];
        for (int layer = 0; layer < layers; layer++)
        {
            float[] normed = Norm(x, attentionNorm.AsSpan(layer * width));
            float[] q = Product(query.AsSpan(layer * width * width), normed, width), k = Product(key.AsSpan(layer * keyWidth * width), normed, keyWidth);
            Turn(q, position);
            Turn(k, position);
            keys[layer].Add(k);
            values[layer].Add(Product(value.AsSpan(layer * keyWidth * width), normed, keyWidth));
            Add(x, Product(output.AsSpan(layer * width * width), Attend(q, layer), width));

            normed = Norm(x, innerNorm.AsSpan(layer * width));
            float[] hidden = Product(gate.AsSpan(layer * inner * width), normed, inner), factor = Product(up.AsSpan(layer * inner * width), normed, inner);
            for (int i = 0; i < inner; i++)
                hidden[i] = hidden[i] * (1 / (1 + MathF.Exp(-hidden[i]))) * factor[i];
            Add(x, Product(down.AsSpan(layer * width * inner), hidden, width));
        }
        return Product(embedding, Norm(x, lastNorm), vocabulary);
    }

    float[] Attend(float[] q, int layer)
    {
        int size = width / heads, positions = keys[layer].Count;
        float[] result = new float[width], scores = new float[positions];
        for (int head = 0; head < heads; head++)
        {
            int from = head * size, kept = head / (heads / keyHeads) * size;
            for (int t = 0; t < positions; t++)
            {
                float dot = 0;
                for (int i = 0; i < size; i++)
                    dot += q[from + i] * keys[layer][t][kept + i];
                scores[t] = dot / MathF.Sqrt(size);
            }
            float greatest = scores.Max(), sum = 0;
            for (int t = 0; t < positions; t++)
                sum += scores[t] = MathF.Exp(scores[t] - greatest);
            for (int t = 0; t < positions; t++)
                for (int i = 0; i < size; i++)
                    result[from + i] += scores[t] / sum * values[layer][t][kept + i];
        }
        return result;
    }

    // Neighbouring pairs of a head turn by position / 10000^(place / head width).
    void Turn(float[] vector, int position)
    {
        int size = width / heads;
        for (int i = 0; i < vector.Length; i += 2)
        {
            float angle = position * (1 / MathF.Pow(10_000, i % size / (float)size)), cos = MathF.Cos(angle), sin = MathF.Sin(angle);
            (vector[i], vector[i + 1]) = (vector[i] * cos - vector[i + 1] * sin, vector[i] * sin + vector[i + 1] * cos);
        }
    }

    static float[] Norm(float[] x, ReadOnlySpan<float> weight)
    {
        float sum = 0;
        foreach (float number in x)
            sum += number * number;
        float scale = 1 / MathF.Sqrt(sum / x.Length + 1e-5f);
        float[] y = new float[x.Length];
        for (int i = 0; i < x.Length; i++)
            y[i] = weight[i] * (scale * x[i]);
        return y;
    }

    static float[] Product(ReadOnlySpan<float> matrix, float[] x, int rows)
    {
        float[] y = new float[rows];
        for (int row = 0; row < rows; row++)
            for (int i = 0; i < x.Length; i++)
                y[row] += matrix[row * x.Length + i] * x[i];
        return y;
    }

    static void Add(float[] x, float[] y)
    {
        for (int i = 0; i < x.Length; i++)
            x[i] += y[i];
    }
}
