using System.Collections.Immutable;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Distill;

/// <summary>
/// Clients with models of different shapes (FedMD, Li and Wang 2019): each says what its model holds of a public text, the server takes the mean of their logits, and each trains towards it and then on its own text. No model and no private text
/// leaves a client; a vocabulary is all that they share.
/// </summary>
public static class FederatedDistillation
{
    /// <summary>Runs to the end; clients' models are trained in place.</summary>
    /// <param name="channels">The clients, who have a model each.</param>
    /// <param name="publicText">Token ids that everybody may know.</param>
    /// <param name="vocabulary">Tokens that there are.</param>
    /// <param name="options">How.</param>
    /// <param name="progress">Told after each round.</param>
    /// <param name="cancel">Stops it; nothing is kept.</param>
    /// <exception cref="CoppiceException">An option cannot be, two clients have one name, the public text is too short, or nobody answers in a round.</exception>
    public static ImmutableArray<DistillationRecord> Run(IReadOnlyList<IClientChannel> channels, int[] publicText, int vocabulary, FederatedDistillationOptions options, IProgress<DistillationRecord>? progress = null, CancellationToken cancel = default)
    {
        options.Validate();
        IClientChannel[] clients = [.. channels.OrderBy(channel => channel.Client, StringComparer.Ordinal)];
        if (clients.Zip(clients.Skip(1)).FirstOrDefault(pair => pair.First.Client == pair.Second.Client).First is { } twice)
            throw new CoppiceException($"Federation: two clients are named '{twice.Client}'");
        int length = options.Training.ContextLength;
        int[][] windows = [.. Enumerable.Range(0, Math.Max(0, (publicText.Length - 1) / length)).Select(i => publicText[(i * length)..((i + 1) * length + 1)])];
        if (windows.Length < options.PublicWindows)
            throw new CoppiceException($"Federation: a public text of {publicText.Length:N0} tokens has {windows.Length:N0} windows of {length}, wanted {options.PublicWindows:N0}");
        string run = FormattableString.Invariant($"distill {options.Seed}");
        ImmutableArray<DistillationRecord> records = [];
        (int[][] Text, Tensor Logits)? agreed = null;
        for (int index = 1; index <= options.Rounds + 1; index++)
        {
            int[][] text = [];
            if (index <= options.Rounds)
            {
                int[][] drawn = [.. windows];
                Seeds.Generator(options.Seed, "public", index).Shuffle(drawn);
                text = drawn[..options.PublicWindows];
            }
            (DistillationRecord record, Tensor? mean) = Round(clients, run, index, text, agreed, vocabulary, options, cancel);
            agreed = mean is null ? null : (text, mean);
            records = records.Add(record);
            progress?.Report(record);
        }
        return records;
    }

    /// <summary>The mean of logits [rows, vocabulary], added up in double in the order given.</summary>
    public static Tensor Mean(IReadOnlyList<Tensor> logits)
    {
        Tensor mean = new(logits[0].Shape);
        for (int i = 0; i < mean.Shape.Length; i++)
        {
            double sum = 0;
            foreach (Tensor own in logits)
                sum += own.Data[i];
            mean.Data[i] = (float)(sum / logits.Count);
        }
        return mean;
    }

    static (DistillationRecord, Tensor?) Round(IClientChannel[] clients, string run, int index, int[][] text, (int[][] Text, Tensor Logits)? agreed, int vocabulary, FederatedDistillationOptions options, CancellationToken cancel)
    {
        List<TensorSource> sources = [];
        if (text.Length > 0)
            sources.Add(TextSource(DistillTask.Text, text));
        if (agreed is { } last)
            sources.AddRange([TextSource(DistillTask.AgreedText, last.Text), TensorSource.Floats(DistillTask.AgreedLogits, DType.F16, last.Logits)]);
        byte[] tensors = SafeTensorsWriter.ToBytes(sources);
        long up = 0, down = 0;
        List<DroppedClient> dropped = [];
        List<DistilledClient> answered = [];
        List<Tensor> logits = [];
        IClientChannel[] here = [.. clients.Where(channel => Seeds.Generator(options.Seed, "dropout", index, channel.Client).NextDouble() >= options.Dropout)];
        dropped.AddRange(clients.Except(here).Select(channel => new DroppedClient(channel.Client, "did not answer (simulated)")));
        foreach ((IClientChannel channel, ReadOnlyMemory<byte> answer, string? fault) in Exchanges.All(here, Pace.Work, channel => Task(channel.Client), cancel))
            try
            {
                up += answer.Length;
                if (fault is not null)
                    throw new CoppiceException(fault);
                (DistillAnswer own, Tensor? held) = DistillAnswer.Read($"logits of client '{channel.Client}' in round {index}", answer, Of(channel.Client), text.Length * options.Training.ContextLength);
                answered.Add(new DistilledClient(channel.Client, own.Parameters, own.LossBefore, own.LossAfter, answer.Length));
                if (held is not null)
                    logits.Add(held);
            }
            catch (CoppiceException error)
            {
                dropped.Add(new DroppedClient(channel.Client, error.Message));
            }
        if (answered.Count == 0)
            throw new CoppiceException($"Round {index}: no logits from any of {clients.Length} clients: {DroppedClient.Reasons(dropped)}");
        return (new DistillationRecord(index, [.. answered], [.. dropped], up, down), logits.Count == 0 ? null : Mean(logits));

        DistillTask Of(string client) => new(DistillTask.CurrentFormat, run, index, client, vocabulary, agreed is null ? 0 : options.DigestSteps, options.Temperature, text.Length == 0 ? 0 : options.LocalSteps, options.EvaluationWindows,
            LocalTraining.Of(options.Training with { Steps = Math.Max(1, options.Rounds * options.LocalSteps) }));

        ReadOnlyMemory<byte> Task(string client)
        {
            byte[] task = Message.Write(Of(client), FederationJson.Default.DistillTask, tensors);
            down += task.Length;
            return task;
        }
    }

    static TensorSource TextSource(string name, int[][] windows) => TensorSource.Raw(name, DType.I32, [windows.Length, windows[0].Length], windows.SelectMany(window => window).ToArray());
}
