using System.Globalization;
using System.Security.Cryptography;
using Coppice.Formats;

namespace Coppice.Federation.Secure;

/// <summary>Begins an attempt at a round with secure aggregation; the task follows it. The same for all clients but for the task.</summary>
/// <param name="Attempt">16 bytes by the system's generator, hexadecimal. Keys and masks are of one attempt.</param>
/// <param name="Numbers">Numbers in an update.</param>
/// <param name="Seed">Of the rotation.</param>
sealed record SecureSetup(string Format, string Run, int Round, string Attempt, int Numbers, int Seed, double Clip, int Bits, int MaxWeight, SecureTransform Transform,
    double Dropouts, double Adversaries, int PrivacyBits, int CorrectnessBits, double Noise) : ISecureMessage
{
    public const string CurrentFormat = "coppice.secure.setup.2";

    const int AttemptBytes = 16;

    /// <summary>A new attempt.</summary>
    public static SecureSetup New(SecureOptions options, string run, int round, int numbers, int seed) =>
        new(CurrentFormat, run, round, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(AttemptBytes)), numbers, Seeds.Derive(seed, "rotation", round) & int.MaxValue,
            options.Clip, options.Bits, options.MaxWeight, options.Transform, options.Dropouts, options.Adversaries, options.PrivacyBits, options.CorrectnessBits, options.Noise);

    /// <summary>What a client does with its update.</summary>
    public GroupEncoding Encoding => new(Options, Seed, Numbers);

    /// <summary>The options that are part of it.</summary>
    public SecureOptions Options => new()
    {
        Clip = Clip,
        Bits = Bits,
        MaxWeight = MaxWeight,
        Transform = Transform,
        Dropouts = Dropouts,
        Adversaries = Adversaries,
        PrivacyBits = PrivacyBits,
        CorrectnessBits = CorrectnessBits,
        Noise = Noise,
    };

    /// <summary>Names the attempt and everything that was agreed on; whatever is signed or derived depends on it.</summary>
    public byte[] Context()
    {
        using Transcript transcript = new("setup");
        return transcript.Add(Run).Add(Round).Add(Attempt).Add(Numbers).Add(Seed).Add(Clip).Add(Bits).Add(MaxWeight).Add((long)Transform)
            .Add(Dropouts).Add(Adversaries).Add(PrivacyBits).Add(CorrectnessBits).Add(Noise).Hash();
    }

    /// <summary>Throws unless it is one that a client can take part in.</summary>
    public void Check(string name)
    {
        if (Format != CurrentFormat || Round < 1 || Numbers < 1 || Seed < 0)
            throw FormatError.At(name, $"format '{Format}', round {Round}, numbers {Numbers}, seed {Seed}; wanted {CurrentFormat}, 1, 1, 0 or more");
        if (Attempt.Length != 2 * AttemptBytes || !Attempt.All(char.IsAsciiHexDigitLower))
            throw FormatError.At(name, string.Create(CultureInfo.InvariantCulture, $"attempt is '{Attempt}', wanted {2 * AttemptBytes} hexadecimal digits"));
        Options.Validate();
    }
}
