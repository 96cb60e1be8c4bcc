using System.Globalization;
using Coppice.Tensors;

namespace Coppice.Federation.Virtual;

/// <summary>What clients and their network are like, and how long rounds wait for them, in virtual time. A client's own speeds are a median times 2^(spread g), g from a normal distribution by seed and name.</summary>
public sealed record World
{
    /// <summary>Seconds of an optimizer step at the median client.</summary>
    public double SecondsPerStep { get; init; } = 1;

    /// <summary>Spread of that over clients: with 1, one in six takes twice as long or more.</summary>
    public double SpeedSpread { get; init; } = 1;

    /// <summary>Bytes a second to the median client.</summary>
    public double DownloadRate { get; init; } = 2_000_000;

    /// <summary>Bytes a second from it.</summary>
    public double UploadRate { get; init; } = 500_000;

    /// <summary>Spread of both over clients; who is slow one way is slow the other.</summary>
    public double RateSpread { get; init; } = 1;

    /// <summary>Seconds that each exchange takes besides.</summary>
    public double Latency { get; init; } = 0.1;

    /// <summary>The probability that a client that is asked never answers.</summary>
    public double Dropout { get; init; }

    /// <summary>The probability that an answer is damaged on its way: some of its bytes are others.</summary>
    public double Corruption { get; init; }

    /// <summary>Clients asked above those wanted, as a share.</summary>
    public double OverSelection { get; init; }

    /// <summary>Seconds that a round waits.</summary>
    public double Deadline { get; init; } = 3600;

    /// <summary>Updates without which a round has no result.</summary>
    public int Minimum { get; init; } = 1;

    /// <summary>All of it in one line.</summary>
    public string Name => string.Create(CultureInfo.InvariantCulture,
        $"step {SecondsPerStep} x 2^{SpeedSpread}g s; {DownloadRate} down, {UploadRate} up x 2^{RateSpread}g; latency {Latency}; dropout {Dropout}; corruption {Corruption}; over {OverSelection}; deadline {Deadline}; minimum {Minimum}");

    /// <summary>Throws with the first number that cannot be.</summary>
    /// <exception cref="CoppiceException">Names it.</exception>
    public void Validate()
    {
        Check("secondsPerStep", SecondsPerStep, SecondsPerStep > 0, "above 0");
        Check("speedSpread", SpeedSpread, SpeedSpread is >= 0 and <= 10, "0 to 10");
        Check("downloadRate", DownloadRate, DownloadRate > 0, "above 0");
        Check("uploadRate", UploadRate, UploadRate > 0, "above 0");
        Check("rateSpread", RateSpread, RateSpread is >= 0 and <= 10, "0 to 10");
        Check("latency", Latency, Latency >= 0, "0 or more");
        Check("dropout", Dropout, Dropout is >= 0 and < 1, "0 to 1, exclusive");
        Check("corruption", Corruption, Corruption is >= 0 and < 1, "0 to 1, exclusive");
        Check("overSelection", OverSelection, OverSelection is >= 0 and <= 10, "0 to 10");
        Check("deadline", Deadline, Deadline > 0, "above 0");
        Check("minimum", Minimum, Minimum >= 1, "1 or more");

        static void Check(string name, double value, bool right, string wanted)
        {
            if (!right || !double.IsFinite(value))
                throw new CoppiceException(string.Create(CultureInfo.InvariantCulture, $"Federation: {name} is {value}, wanted {wanted}"));
        }
    }

    /// <summary>When a client has trained, were the task of so many bytes sent at 0.</summary>
    internal double Trained(int seed, string client, int steps, long bytesDown) =>
        Latency + bytesDown / (DownloadRate / Factor(seed, "rate", client, RateSpread)) + steps * SecondsPerStep * Factor(seed, "speed", client, SpeedSpread);

    /// <summary>How long its answer of so many bytes is on its way.</summary>
    internal double Sending(int seed, string client, long bytesUp) => bytesUp / (UploadRate / Factor(seed, "rate", client, RateSpread));

    // How many times as long as at the median client.
    static double Factor(int seed, string what, string client, double spread)
    {
        Random random = Seeds.Generator(seed, what, 0, client);
        return Math.Pow(2, spread * Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble()));
    }
}
