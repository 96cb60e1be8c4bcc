using Coppice.Tensors;

namespace Coppice.Federation.Privacy;

/// <summary>Clipping and noise.</summary>
static class GaussianMechanism
{
    /// <summary>The factor that shortens a norm to <paramref name="clip"/>, at most 1.</summary>
    public static double Shortening(double norm, double clip) => norm > clip ? clip / norm : 1;

    /// <summary>
    /// DP-FedAvg: the deltas clipped to S, added up, with noise of deviation z S on each number, over the number of clients expected. Clients weigh the same: what a client says of its samples
    /// could not be trusted, and would be another thing to protect. None at all is noise alone.
    /// </summary>
    public static ParameterSet Average(ParameterSet model, IReadOnlyList<WeightedUpdate> deltas, double clip, double noise, double expected, KeyedRandom random)
    {
        WeightedUpdate[] ordered = [.. deltas.OrderBy(delta => delta.Client, StringComparer.Ordinal)];
        double[] scales = [.. ordered.Select(delta => Shortening(delta.Values.Norm(), clip))];
        return model.Map((name, like) =>
        {
            double[] sum = new double[like.Shape.Length];
            for (int client = 0; client < ordered.Length; client++)
            {
                ReadOnlySpan<float> values = ordered[client].Values.Tensors[name].Data;
                for (int i = 0; i < sum.Length; i++)
                    sum[i] += scales[client] * values[i];
            }
            Tensor average = new(like.Shape);
            for (int i = 0; i < sum.Length; i++)
                average.Data[i] = (float)((sum[i] + noise * clip * random.NextGaussian()) / expected);
            return average;
        });
    }

    /// <summary>The next S (Andrew et al. 2021): S exp(-rate (b - quantile)), b being the share of the clients expected that was within S, counted from the middle with noise of deviation <see cref="PrivacyOptions.CountNoise"/>.</summary>
    public static double NextClip(double clip, IReadOnlyList<WeightedUpdate> deltas, PrivacyOptions options, double expected, KeyedRandom random)
    {
        // A client changes the sum of (within ? 1 : 0) - 1/2 by a half at most.
        double within = deltas.Sum(delta => (delta.Values.Norm() <= clip ? 1 : 0) - 0.5) + options.CountNoise * random.NextGaussian();
        return clip * Math.Exp(-options.QuantileRate * (within / expected + 0.5 - options.Quantile));
    }

    /// <summary>A client's own delta, clipped and with noise.</summary>
    public static ParameterSet Perturb(ParameterSet received, ParameterSet trained, double clip, double noise, KeyedRandom random)
    {
        double scale = Shortening(trained.DistanceTo(received), clip);
        return trained.Map((name, after) =>
        {
            Tensor perturbed = new(after.Shape);
            ReadOnlySpan<float> before = received.Tensors[name].Data;
            for (int i = 0; i < before.Length; i++)
                perturbed.Data[i] = (float)(before[i] + scale * ((double)after.Data[i] - before[i]) + noise * clip * random.NextGaussian());
            return perturbed;
        });
    }
}
