using Coppice.Tensors;

namespace Coppice.Federation.Recipes;

/// <summary>All clients of a recipe. One that does not answer is left out of that step and asked again at the next.</summary>
sealed class Fleet(string run, IReadOnlyList<IClientChannel> channels, FleetOptions options)
{
    readonly IClientChannel[] channels = [.. channels.OrderBy(channel => channel.Client, StringComparer.Ordinal)];
    readonly List<string> dropped = [];
    int steps;
    long bytesUp, bytesDown;

    /// <summary>Names the run.</summary>
    public string Run => run;

    /// <summary>What has passed so far.</summary>
    public FleetTraffic Traffic => new(steps, bytesUp, bytesDown, [.. dropped]);

    /// <summary>Begins another step.</summary>
    public int NextStep() => ++steps;

    /// <summary>Counts what passed by other ways.</summary>
    public void Count(IEnumerable<RoundRecord> rounds)
    {
        foreach (RoundRecord round in rounds)
        {
            steps++;
            bytesUp += round.BytesUp;
            bytesDown += round.BytesDown;
            dropped.AddRange(round.Dropped.Select(part => $"'{part.Client}' in round {round.Round}: {part.Reason}"));
        }
    }

    /// <summary>What <paramref name="read"/> makes of each client's answer, by name.</summary>
    /// <param name="step">Which step it is.</param>
    /// <param name="what">What is asked, for errors.</param>
    /// <param name="write">The question to a client.</param>
    /// <param name="read">Takes an answer apart.</param>
    /// <param name="cancel">Stops it.</param>
    /// <exception cref="CoppiceException">No client answered.</exception>
    public List<T> Ask<T>(int step, string what, Func<string, ReadOnlyMemory<byte>> write, Func<string, ReadOnlyMemory<byte>, T> read, CancellationToken cancel)
    {
        List<T> answers = [];
        List<string> missing = [];
        List<IClientChannel> here = [];
        foreach (IClientChannel channel in channels)
            if (Seeds.Generator(options.Seed, "dropout", step, channel.Client).NextDouble() >= options.Dropout)
                here.Add(channel);
            else
                missing.Add($"'{channel.Client}': did not answer (simulated)");
        foreach ((IClientChannel channel, ReadOnlyMemory<byte> answer, string? fault) in Exchanges.All(here, Pace.Work, channel => Counted(write(channel.Client)), cancel))
            try
            {
                bytesUp += answer.Length;
                answers.Add(fault is null ? read(channel.Client, answer) : throw new CoppiceException(fault));
            }
            catch (CoppiceException error)
            {
                missing.Add($"'{channel.Client}': {error.Message}");
            }
        dropped.AddRange(missing.Select(reason => $"step {step} ({what}), {reason}"));
        return answers.Count > 0 ? answers : throw new CoppiceException($"step {step}: no client answered for {what}: {string.Join("; ", missing)}");
    }

    ReadOnlyMemory<byte> Counted(ReadOnlyMemory<byte> message)
    {
        bytesDown += message.Length;
        return message;
    }
}
