using Coppice.Tensors;

namespace Coppice.Federation.Recipes;

/// <summary>All clients of a recipe, asked one after the other. One that does not answer is left out of that step and asked again at the next.</summary>
sealed class Fleet(string run, IReadOnlyList<IClientChannel> channels, FleetOptions options)
{
    readonly IClientChannel[] channels = [.. channels.OrderBy(channel => channel.Client, StringComparer.Ordinal)];
    readonly List<string> dropped = [];
    int steps;
    long bytesUp, bytesDown;

    /// <summary>Names the run.</summary>
    public string Run => run;

    /// <summary>The clients' names, in order.</summary>
    public IEnumerable<string> Clients => channels.Select(channel => channel.Client);

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

    /// <summary>What <paramref name="ask"/> gets from each client, by name.</summary>
    /// <exception cref="CoppiceException">No client answered.</exception>
    public List<T> Ask<T>(int step, string what, Func<string, T> ask, CancellationToken cancel)
    {
        List<T> answers = [];
        List<string> missing = [];
        foreach (string client in Clients)
        {
            cancel.ThrowIfCancellationRequested();
            try
            {
                answers.Add(ask(client));
            }
            catch (CoppiceException error)
            {
                missing.Add($"'{client}': {error.Message}");
            }
        }
        dropped.AddRange(missing.Select(reason => $"step {step} ({what}), {reason}"));
        return answers.Count > 0 ? answers : throw new CoppiceException($"step {step}: no client answered for {what}: {string.Join("; ", missing)}");
    }

    /// <summary>Asks one client.</summary>
    /// <exception cref="CoppiceException">It did not answer.</exception>
    public ReadOnlyMemory<byte> Exchange(string client, int step, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        bytesDown += message.Length;
        if (Seeds.Generator(options.Seed, "dropout", step, client).NextDouble() < options.Dropout)
            throw new CoppiceException("did not answer (simulated)");
        ReadOnlyMemory<byte> answer = channels.First(channel => channel.Client == client).Exchange(message, cancel);
        bytesUp += answer.Length;
        return answer;
    }
}
