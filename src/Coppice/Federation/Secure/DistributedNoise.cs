using System.Security.Cryptography;
using Coppice.Federation.Privacy;

namespace Coppice.Federation.Secure;

/// <summary>
/// Differential privacy against the server itself: each client adds whole numbers of noise to its update before they are masked, so that the sum, all that anybody ever sees, has enough of it (the distributed discrete
/// Gaussian mechanism, Kairouz, Liu and Steinke 2021). As many clients as the least that a sum is made of, less the adversaries among them, who may leave theirs out, have deviation z S together, S being the most that one client can change.
/// </summary>
static class DistributedNoise
{
    /// <summary>Adds a client's part.</summary>
    /// <param name="values">Encoded numbers, modulo 2^32.</param>
    /// <param name="variance">In squared steps.</param>
    public static void Add(Span<uint> values, long variance)
    {
        byte[] key = RandomNumberGenerator.GetBytes(Masks.KeyBytes);
        using AesCtr bits = new(key);
        CryptographicOperations.ZeroMemory(key);
        DiscreteGaussian noise = new(variance, bits);
        foreach (ref uint value in values)
            value += (uint)noise.Next();
    }

    /// <summary>The z that one round with up to so many clients is charged for: see <see cref="Equivalent"/>.</summary>
    public static double Charged(SecureOptions options, int numbers, int clients)
    {
        double squared = new GroupEncoding(options, 0, numbers).SquaredSensitivity;
        SecurePlan plan = SecurePlan.For(clients, options, Math.Sqrt(squared));
        return Equivalent(squared, plan.NoiseVariance, plan.Honest, numbers, clients);
    }

    /// <summary>
    /// The z of a Gaussian that is no more private (Kairouz et al. 2021, main theorem): z^-2 = S^2 / (honest variance) + tau numbers / 2. A sum of discrete Gaussians is not quite one, and tau = 10 sum from k = 1 to clients - 1
    /// of exp(-2 pi^2 variance k / (k + 1)) says how far it is from one; with a client's deviation of two steps it vanishes.
    /// </summary>
    /// <param name="squared">S^2, in squared steps.</param>
    /// <param name="variance">Of one client's noise, in squared steps, 1 or more.</param>
    /// <param name="honest">Clients whose noise is certain to be in the sum.</param>
    /// <param name="numbers">Numbers in an update.</param>
    /// <param name="clients">Clients at most.</param>
    internal static double Equivalent(double squared, long variance, int honest, int numbers, int clients)
    {
        double tau = 10 * Enumerable.Range(1, clients - 1).Sum(k => Math.Exp(-2 * Math.PI * Math.PI * variance * k / (k + 1)));
        return 1 / Math.Sqrt(squared / ((double)variance * honest) + tau * numbers / 2);
    }
}
