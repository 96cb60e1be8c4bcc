namespace Coppice.Tests.Models.Families;

/// <summary>
/// Decoders in plain double loops, straight from what each family's paper and config.json say, over the tensors as a Hugging Face folder names and lays them out. It shares no code
/// with the library: not its configuration, names, layers or operations.
/// </summary>
sealed class ReferenceDecoder(Dictionary<string, (int[] Shape, double[] Data)> tensors)
{
    public required int Layers { get; init; }
    public required int Heads { get; init; }
    public required int KeyValueHeads { get; init; }
    public required int HeadWidth { get; init; }
    public double Epsilon { get; init; } = 1e-6;

    /// <summary>Hidden states of a token at a place.</summary>
    public required Func<int, int, double[]> Embed { get; init; }

    /// <summary>One block: hidden states in, hidden states out.</summary>
    public required Func<ReferenceDecoder, int, double[][], double[][]> Block { get; init; }

    /// <summary>The last hidden state to logits.</summary>
    public required Func<ReferenceDecoder, double[], double[]> Head { get; init; }

    public double[][] Logits(int[] tokens)
    {
        double[][] x = [.. tokens.Select((id, t) => Embed(id, t))];
        for (int layer = 0; layer < Layers; layer++)
            x = Block(this, layer, x);
        return [.. x.Select(row => Head(this, row))];
    }

    public double[] Row(string name, int row)
    {
        (int[] shape, double[] data) = tensors[name];
        return data[(row * shape[1])..((row + 1) * shape[1])];
    }

    /// <summary>y = W x (+ b), W [outputs, inputs].</summary>
    public double[] Linear(string name, double[] x)
    {
        (int[] shape, double[] w) = tensors[name + ".weight"];
        double[] y = new double[shape[0]];
        for (int n = 0; n < shape[0]; n++)
            for (int i = 0; i < shape[1]; i++)
                y[n] += w[n * shape[1] + i] * x[i];
        return Biased(name, y);
    }

    /// <summary>GPT-2's Conv1D: y = x W + b, W [inputs, outputs].</summary>
    public double[] Conv1D(string name, double[] x)
    {
        (int[] shape, double[] w) = tensors[name + ".weight"];
        double[] y = new double[shape[1]];
        for (int i = 0; i < shape[0]; i++)
            for (int n = 0; n < shape[1]; n++)
                y[n] += x[i] * w[i * shape[1] + n];
        return Biased(name, y);
    }

    double[] Biased(string name, double[] y) => tensors.TryGetValue(name + ".bias", out var bias) ? [.. y.Zip(bias.Data, (a, b) => a + b)] : y;

    /// <summary>x / rms(x) * (w + added).</summary>
    public double[] Rms(string name, double[] x, double added = 0)
    {
        double scale = 1 / Math.Sqrt(x.Sum(v => v * v) / x.Length + Epsilon);
        return [.. x.Zip(tensors[name + ".weight"].Data, (v, w) => v * scale * (w + added))];
    }

    public double[] LayerNorm(string name, double[] x)
    {
        double mean = x.Average(), scale = 1 / Math.Sqrt(x.Sum(v => (v - mean) * (v - mean)) / x.Length + Epsilon);
        double[] w = tensors[name + ".weight"].Data, b = tensors[name + ".bias"].Data;
        return [.. x.Select((v, i) => (v - mean) * scale * w[i] + b[i])];
    }

    /// <summary>Each head's part normalized by itself.</summary>
    public double[] PerHead(double[] x, Func<double[], double[]> norm) =>
        [.. Enumerable.Range(0, x.Length / HeadWidth).SelectMany(h => norm(x[(h * HeadWidth)..((h + 1) * HeadWidth)]))];

    /// <summary>The first <paramref name="width"/> numbers of each head turned, halves paired; <paramref name="frequency"/> gives the angle of pair i a position.</summary>
    public double[] Rotate(double[] x, int position, int width, Func<int, double> frequency)
    {
        double[] y = [.. x];
        for (int h = 0; h < x.Length; h += HeadWidth)
            for (int i = 0; i < width / 2; i++)
            {
                double angle = position * frequency(i), a = x[h + i], b = x[h + width / 2 + i];
                y[h + i] = a * Math.Cos(angle) - b * Math.Sin(angle);
                y[h + width / 2 + i] = b * Math.Cos(angle) + a * Math.Sin(angle);
            }
        return y;
    }

    /// <summary>Mixed values [tokens][heads * head width]: query t sees keys max(0, t - window + 1) to t.</summary>
    public double[][] Attend(double[][] q, double[][] k, double[][] v, double? scale = null, int? window = null, double? softcap = null)
    {
        int d = HeadWidth, group = Heads / KeyValueHeads;
        return [.. q.Select((query, t) =>
        {
            double[] mixed = new double[Heads * d];
            int first = window is { } seen ? Math.Max(0, t - seen + 1) : 0;
            for (int h = 0; h < Heads; h++)
            {
                int g = h / group;
                double[] scores = [.. Enumerable.Range(first, t - first + 1).Select(s =>
                {
                    double score = Enumerable.Range(0, d).Sum(i => query[h * d + i] * k[s][g * d + i]) * (scale ?? 1 / Math.Sqrt(d));
                    return softcap is { } cap ? cap * Math.Tanh(score / cap) : score;
                })];
                double max = scores.Max(), sum = scores.Sum(score => Math.Exp(score - max));
                for (int s = first; s <= t; s++)
                    for (int i = 0; i < d; i++)
                        mixed[h * d + i] += Math.Exp(scores[s - first] - max) / sum * v[s][g * d + i];
            }
            return mixed;
        })];
    }

    public static double[] Add(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    public static double Silu(double x) => x / (1 + Math.Exp(-x));

    public static double GeluTanh(double x) => 0.5 * x * (1 + Math.Tanh(Math.Sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));

    /// <summary>With the error function as a sum of its Taylor series.</summary>
    public static double Gelu(double x)
    {
        double z = x / Math.Sqrt(2), term = z, sum = z;
        for (int n = 1; n < 200; n++)
        {
            term *= -z * z / n;
            sum += term / (2 * n + 1);
        }
        return 0.5 * x * (1 + 2 / Math.Sqrt(Math.PI) * sum);
    }
}
