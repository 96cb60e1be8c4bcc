using Coppice.Models;

namespace Coppice.Tests.Models;

/// <summary>A Llama forward pass in plain double loops, written from the papers (Touvron 2023; Su 2021; Zhang and Sennrich 2019; Shazeer 2020; Ainslie 2023), sharing no code with the library.</summary>
sealed class ReferenceLlama(DecoderConfig config, Dictionary<string, double[]> parameters)
{
    /// <summary>Logits [tokens][vocabulary] of one sequence.</summary>
    public double[][] Logits(int[] tokens)
    {
        int width = config.HiddenSize, d = config.HeadWidth, group = config.HeadCount / config.KeyValueHeadCount;
        double[] table = parameters["model.embed_tokens.weight"];
        double[][] x = [.. tokens.Select(id => table[(id * width)..((id + 1) * width)])];
        for (int layer = 0; layer < config.LayerCount; layer++)
        {
            string name = $"model.layers.{layer}.";
            double[][] normed = [.. x.Select(row => Norm(row, name + "input_layernorm.weight"))];
            double[][] q = [.. normed.Select((row, t) => Rotate(Product(row, name + "self_attn.q_proj.weight"), t))];
            double[][] k = [.. normed.Select((row, t) => Rotate(Product(row, name + "self_attn.k_proj.weight"), t))];
            double[][] v = [.. normed.Select(row => Product(row, name + "self_attn.v_proj.weight"))];
            for (int t = 0; t < x.Length; t++)
            {
                double[] mixed = new double[config.HeadCount * d];
                for (int h = 0; h < config.HeadCount; h++)
                {
                    int g = h / group;
                    double[] weights = Softmax([.. Enumerable.Range(0, t + 1).Select(s => Enumerable.Range(0, d).Sum(i => q[t][h * d + i] * k[s][g * d + i]) / Math.Sqrt(d))]);
                    for (int s = 0; s <= t; s++)
                        for (int i = 0; i < d; i++)
                            mixed[h * d + i] += weights[s] * v[s][g * d + i];
                }
                x[t] = Sum(x[t], Product(mixed, name + "self_attn.o_proj.weight"));
            }
            for (int t = 0; t < x.Length; t++)
            {
                double[] row = Norm(x[t], name + "post_attention_layernorm.weight");
                double[] gate = Product(row, name + "mlp.gate_proj.weight"), up = Product(row, name + "mlp.up_proj.weight");
                double[] inner = [.. gate.Zip(up, (a, b) => a / (1 + Math.Exp(-a)) * b)];
                x[t] = Sum(x[t], Product(inner, name + "mlp.down_proj.weight"));
            }
        }
        string head = config.Head == HeadKind.Tied ? "model.embed_tokens.weight" : "lm_head.weight";
        return [.. x.Select(row => Product(Norm(row, "model.norm.weight"), head))];
    }

    /// <summary>Mean nats a token over sequences whose every token but the first is a target.</summary>
    public double Loss(IEnumerable<int[]> sequences)
    {
        double sum = 0;
        int count = 0;
        foreach (int[] sequence in sequences)
        {
            double[][] logits = Logits(sequence[..^1]);
            for (int t = 0; t < logits.Length; t++)
            {
                sum -= Math.Log(Softmax(logits[t])[sequence[t + 1]]);
                count++;
            }
        }
        return sum / count;
    }

    static double[] Sum(double[] a, double[] b) => [.. a.Zip(b, (x, y) => x + y)];

    static double[] Softmax(double[] x)
    {
        double max = x.Max(), sum = x.Sum(value => Math.Exp(value - max));
        return [.. x.Select(value => Math.Exp(value - max) / sum)];
    }

    double[] Norm(double[] x, string gain)
    {
        double scale = 1 / Math.Sqrt(x.Sum(value => value * value) / x.Length + config.NormEpsilon);
        return [.. x.Zip(parameters[gain], (value, g) => value * scale * g)];
    }

    double[] Product(double[] x, string weight)
    {
        double[] w = parameters[weight];
        double[] y = new double[w.Length / x.Length];
        for (int n = 0; n < y.Length; n++)
            for (int i = 0; i < x.Length; i++)
                y[n] += w[n * x.Length + i] * x[i];
        return y;
    }

    double[] Rotate(double[] x, int position)
    {
        int d = config.HeadWidth;
        double[] y = new double[x.Length];
        for (int h = 0; h < x.Length; h += d)
            for (int i = 0; i < d / 2; i++)
            {
                double angle = position * Math.Pow(config.RopeTheta, -2.0 * i / d);
                y[h + i] = x[h + i] * Math.Cos(angle) - x[h + d / 2 + i] * Math.Sin(angle);
                y[h + d / 2 + i] = x[h + d / 2 + i] * Math.Cos(angle) + x[h + i] * Math.Sin(angle);
            }
        return y;
    }
}
