using System.Runtime.InteropServices;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>What a sum of encoded updates says.</summary>
/// <param name="Mean">sum w_i d_i / sum w_i, d_i being the clients' deltas as they were clipped and rounded.</param>
/// <param name="Weight">sum w_i, w_i being a client's windows, at most <see cref="SecureOptions.MaxWeight"/>.</param>
/// <param name="LossBefore">sum w_i loss_i / sum w_i before local training, nats a token; with noise it is not told, and not a number.</param>
/// <param name="LossAfter">The same after it.</param>
/// <param name="Shortened">Clients whose delta was longer than the norm.</param>
sealed record SecureMean(float[] Mean, long Weight, double LossBefore, double LossAfter, int Shortened);

/// <summary>
/// An update as whole numbers from 0 to 2^b - 1 whose sums over clients are those of the updates. The delta is shortened to the norm S and times w / W; is turned; each number x is held within +-B and becomes
/// floor(x / s + u) + q with q = 2^(b-1) - 1, s = B / q and u uniform in [0, 1). All numbers are drawn anew until their norm is no more than what rounding may add (Kairouz et al. 2021, eq. 9 with beta = e^-1/2), so that
/// S bounds what is sent. Behind them stand w, whether the delta was shortened, and w times both losses: nobody learns those of one client either.
/// </summary>
sealed class GroupEncoding
{
    // +-B = 7 norm / sqrt(P) after a rotation: a number passes it with a probability of 2 exp(-7^2 / 2), and is cut off there.
    const double Spread = 7;

    const int FieldCount = 4, FieldBits = 48, MostDraws = 200;
    const double LossUnits = 1 << 16, LargestLoss = 1 << 10;

    readonly SecureOptions options;
    readonly ulong seed;
    readonly int count, most, digits;
    readonly double step;

    /// <summary>The encoding of updates of some numbers.</summary>
    /// <param name="seed">Of the rotation; clients of a round have the same.</param>
    /// <param name="count">Numbers in a delta, 1 or more.</param>
    public GroupEncoding(SecureOptions options, int seed, int count)
    {
        (this.options, this.seed, this.count) = (options, (ulong)seed, count);
        most = (1 << (options.Bits - 1)) - 1;
        digits = (FieldBits + options.Bits - 1) / options.Bits;
        double range = options.Transform == SecureTransform.Hadamard ? Math.Min(1, Spread / Math.Sqrt(HadamardTransform.PowerOf(count))) * options.Clip : options.Clip;
        step = range / most;
    }

    /// <summary>Whole numbers in an encoded update.</summary>
    public int Length => checked(count + FieldCount * digits);

    /// <summary>What a step of the whole numbers stands for in w / W d.</summary>
    public double Step => step;

    /// <summary>The most that one client can change, squared, in steps: the bound to which rounding is held.</summary>
    public double SquaredSensitivity => SquaredBound();

    /// <summary>Encodes an update.</summary>
    /// <param name="delta">The trained weights less those received, in a row; overwritten.</param>
    /// <param name="samples">Training windows.</param>
    /// <param name="lossBefore">Nats a token, at most 1,024.</param>
    /// <param name="lossAfter">The same after local training.</param>
    /// <param name="rounding">Where u comes from: 32 bits a number.</param>
    public uint[] Encode(Span<float> delta, int samples, double lossBefore, double lossAfter, AesCtr rounding)
    {
        double norm = Math.Sqrt(ParameterSet.SquaredDistance(delta, default));
        if (!double.IsFinite(norm))
            throw new CoppiceException($"Secure aggregation: a delta of norm {norm}; the local training diverged");
        int weight = Math.Min(samples, options.MaxWeight);
        double scale = (double)weight / options.MaxWeight * Privacy.GaussianMechanism.Shortening(norm, options.Clip);
        if (options.Transform == SecureTransform.Hadamard)
            HadamardTransform.Rotate(delta, seed);

        uint[] encoded = new uint[Length];
        double bound = SquaredBound(), found = double.PositiveInfinity;
        for (int draw = 0; draw < MostDraws && found > bound; draw++)
            found = Round(delta, scale / step, rounding, encoded);
        if (found > bound)
            throw new CoppiceException($"Secure aggregation: {MostDraws} draws of the rounding passed the norm {Math.Sqrt(bound) * step:G6}, which has no chance worth naming; the source of randomness is broken");
        // With noise nothing of a client goes without it.
        ulong[] fields = options.Noise > 0 ? [1, 0, 0, 0] : [(ulong)weight, norm > options.Clip ? 1UL : 0, Loss(weight, lossBefore), Loss(weight, lossAfter)];
        for (int i = 0; i < FieldCount * digits; i++)
            encoded[count + i] = (uint)(fields[i / digits] >> (i % digits * options.Bits)) & ((1u << options.Bits) - 1);
        return encoded;
    }

    /// <summary>What the sum of some clients' encoded updates says.</summary>
    /// <param name="modulusBits">Sums are modulo 2 to the power of this; with noise they lie on both sides of 0.</param>
    /// <exception cref="CoppiceException">It is no such sum: a client sent something else.</exception>
    public SecureMean Decode(ReadOnlySpan<uint> sum, int clients, int modulusBits = 32)
    {
        ulong weight = Field(sum, 0), shortened = Field(sum, 1), before = Field(sum, 2), after = Field(sum, 3);
        if (options.Noise > 0 && (weight != (ulong)clients || shortened + before + after != 0) || weight < (ulong)clients || weight > (ulong)clients * (ulong)options.MaxWeight || shortened > (ulong)clients || Math.Max(before, after) > weight * (LossUnits * LargestLoss))
            throw new CoppiceException($"Secure aggregation: {clients} clients cannot weigh {weight} with {shortened} shortened; one of them sent something else than it should have");
        float[] mean = new float[count];
        double scale = step * options.MaxWeight / weight;
        long zero = (long)clients * most;
        int unused = 32 - modulusBits;
        for (int i = 0; i < mean.Length; i++)
            mean[i] = (float)((options.Noise > 0 ? (int)(sum[i] - (uint)zero) << unused >> unused : sum[i] - zero) * scale);
        if (options.Transform == SecureTransform.Hadamard)
            HadamardTransform.RotateBack(mean, seed);
        return options.Noise > 0
            ? new SecureMean(mean, (long)weight, double.NaN, double.NaN, 0)
            : new SecureMean(mean, (long)weight, before / (LossUnits * weight), after / (LossUnits * weight), (int)shortened);
    }

    // Rounds once, and returns the squared norm in steps.
    double Round(ReadOnlySpan<float> values, double scale, AesCtr rounding, Span<uint> encoded)
    {
        double squares = 0;
        while (values.Length > 0)
        {
            ReadOnlySpan<uint> random = MemoryMarshal.Cast<byte, uint>(rounding.Next((int)Math.Min(4L * values.Length, 1 << 16)));
            for (int i = 0; i < random.Length; i++)
            {
                double steps = Math.Clamp(values[i] * scale, -most, most);
                int rounded = (int)Math.Floor(steps + random[i] * (1.0 / (1L << 32)));
                squares += (double)rounded * rounded;
                encoded[i] = (uint)(rounded + most);
            }
            values = values[random.Length..];
            encoded = encoded[random.Length..];
        }
        return squares;
    }

    // In steps: min((S + sqrt(d))^2, S^2 + d/4 + sqrt(2 ln(1/beta)) (S + sqrt(d) / 2)), the root being 1.
    double SquaredBound()
    {
        double norm = options.Clip / step, root = Math.Sqrt(count);
        return Math.Min((norm + root) * (norm + root), norm * norm + count / 4.0 + norm + root / 2);
    }

    static ulong Loss(int weight, double loss) => loss is >= 0 and <= LargestLoss
        ? (ulong)Math.Round(weight * loss * LossUnits)
        : throw new CoppiceException($"Secure aggregation: a loss of {loss} nats a token, wanted 0 to {LargestLoss:N0}");

    ulong Field(ReadOnlySpan<uint> sum, int field)
    {
        ulong value = 0;
        for (int i = 0; i < digits; i++)
            value += (ulong)sum[count + field * digits + i] << (i * options.Bits);
        return value;
    }
}
