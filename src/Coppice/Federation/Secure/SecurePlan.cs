using System.Numerics;
using Coppice.Federation.Privacy;
using Coppice.Tensors;

namespace Coppice.Federation.Secure;

/// <summary>The numbers of a round with secure aggregation, from the number of clients in it. Server and clients work them out, each for itself, in whole numbers.</summary>
/// <param name="Clients">n: who has sent keys.</param>
/// <param name="Minimum">m: with fewer clients at any later step the round fails. 3 or more, and above (n + adversaries) / 2, so that of two sets of survivors only one can have so many signatures: no honest client signs twice.</param>
/// <param name="Degree">k: with how many others a client shares masks and secrets. n - 1 in a complete graph.</param>
/// <param name="Threshold">t: how many shares give a secret back.</param>
/// <param name="ModulusBits">r: sums are modulo R = 2^r, the least with R >= n (2^b - 1) + 1; with noise, the least that has room for ten times the deviation of all clients' noise on both sides as well.</param>
/// <param name="Honest">Of m clients those that are no adversaries.</param>
/// <param name="NoiseVariance">Of the noise that a client adds to each number, in squared steps: with that of the honest of m clients together, z times the sensitivity. 0 without noise.</param>
sealed record SecurePlan(int Clients, int Minimum, int Degree, int Threshold, int ModulusBits, int Honest, long NoiseVariance)
{
    const double NoiseReach = 10;

    // So that a share is never the whole secret: one client alone learns nothing, whatever share of adversaries is reckoned with.
    const int Least = 3;

    /// <summary>The plan for n clients.</summary>
    /// <param name="sensitivity">The most that one client can change, in steps; for noise.</param>
    /// <exception cref="CoppiceException">So few clients cannot hide one another, or their sum takes more than 32 bits.</exception>
    public static SecurePlan For(int clients, SecureOptions options, double sensitivity = 0)
    {
        options.Validate();
        int adversaries = (int)(options.Adversaries * clients), dropouts = (int)(options.Dropouts * clients), minimum = Math.Max(Least, (clients + adversaries) / 2 + 1);
        if (minimum - adversaries < 2 || clients - dropouts < minimum)
            throw new CoppiceException(
                $"Secure aggregation: {clients} clients, {adversaries} of which may be adversaries and {dropouts} drop out; wanted {minimum} or more that stay, 2 of them honest, so that a sum hides its parts");
        int honest = minimum - adversaries;
        double variance = Math.Ceiling(Math.Pow(options.Noise * sensitivity, 2) / honest), reach = NoiseReach * Math.Sqrt(variance * clients), largest = clients * ((1UL << options.Bits) - 1.0) + 2 * reach;
        int bits = largest < long.MaxValue && variance <= DiscreteGaussian.LargestVariance ? BitOperations.Log2((ulong)largest) + 1 : int.MaxValue;
        if (options.Noise > 0 && bits > 32)
            throw new CoppiceException($"Secure aggregation: noise of deviation {reach / NoiseReach:G3} steps in a sum over {clients:N0} clients takes more than 32 bits; wanted fewer bits, which make steps longer");
        if (bits > 32)
            throw new CoppiceException($"Secure aggregation: a sum over {clients:N0} clients of {options.Bits} bits each takes {bits} bits, at most 32 fit; wanted fewer bits");
        return Sparse(clients, Math.Max(1, adversaries), dropouts, options) is var (degree, threshold)
            ? new SecurePlan(clients, minimum, degree, threshold, bits, honest, (long)variance)
            : new SecurePlan(clients, minimum, clients - 1, minimum - 1, bits, honest, (long)variance);
    }

    // The smallest even k of a ring in which each client has its k/2 nearest on both sides, in random order (Bell et al. 2020, definition 3.1 and lemma 3.2): with gamma n adversaries and delta n dropouts,
    //   n P[t or more adversaries among k neighbours] <= 2^-(sigma + 1): nobody's two kinds of shares come together,
    //   n P[k/2 clients in a row are all adversaries or dropouts] <= 2^-(sigma + 1): those left stay connected, and
    //   n P[fewer than t of k neighbours are left] <= 2^-eta: all secrets that are wanted come back.
    static (int Degree, int Threshold)? Sparse(int clients, int adversaries, int dropouts, SecureOptions options)
    {
        int privacy = options.PrivacyBits + 1, gone = adversaries + dropouts;
        for (int degree = 2; degree < clients - 1; degree += 2)
        {
            if (degree / 2 <= gone && Hypergeometric.Choose(gone, degree / 2) * clients << privacy > Hypergeometric.Choose(clients, degree / 2))
                continue;
            Hypergeometric corrupt = new(clients - 1, adversaries, degree), left = new(clients - 1, clients - 1 - dropouts, degree);
            int threshold = 1;
            while (threshold <= degree && !corrupt.AtLeastIsBelow(threshold, clients, privacy))
                threshold++;
            if (threshold <= degree && left.FewerIsBelow(threshold, clients, options.CorrectnessBits))
                return (degree, threshold);
        }
        return null;
    }
}
