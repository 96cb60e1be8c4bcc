using System.Collections.Immutable;
using System.Diagnostics;
using System.Numerics.Tensors;
using System.Text.Json;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Tensor = Coppice.Tensors.Tensor;

namespace Coppice.Federation;

/// <summary>One round as the server sees it: tasks out, updates in, the next model at the end. It is the same whether clients are in this process or across a network.</summary>
public sealed class Round
{
    readonly string run;
    readonly int index;
    readonly FederatedOptions options;
    readonly ParameterSet model;
    readonly JsonElement config;
    readonly byte[] download;
    readonly long started = Stopwatch.GetTimestamp();
    readonly HashSet<string> asked = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, (ClientRecord Record, WeightedUpdate Update)> answered = new(StringComparer.Ordinal);
    readonly SortedDictionary<string, string> dropped = new(StringComparer.Ordinal);
    long bytesUp, bytesDown, messagesUp, messagesDown;

    /// <summary>Opens round <paramref name="index"/> (1-based) of a run over the model with these sizes and numbers.</summary>
    public Round(string run, int index, DecoderConfig config, ParameterSet model, FederatedOptions options)
    {
        (this.run, this.index, this.model, this.options) = (run, index, model, options);
        this.config = RoundTask.WriteConfig(config, options.DownloadType);
        download = SafeTensorsWriter.ToBytes(model.Sources(options.DownloadType));
    }

    /// <summary>The message that asks a client to take part.</summary>
    public ReadOnlyMemory<byte> TaskFor(string client)
    {
        RoundTask task = new(RoundTask.CurrentFormat, run, index, client, options.Codec.Name, options.Seed, options.LocalSteps, (index - 1) * options.LocalSteps,
            options.EvaluationWindows, LocalTraining.Of(options.Training with { Steps = options.Rounds * options.LocalSteps }), config);
        byte[] message = Message.Write(task, FederationJson.Default.RoundTask, download);
        asked.Add(client);
        bytesDown += message.Length;
        messagesDown++;
        return message;
    }

    /// <summary>Takes a client's answer, which is not trusted.</summary>
    /// <exception cref="CoppiceException">It is refused; the message names the client and the reason. The round goes on.</exception>
    public void Accept(string client, ReadOnlyMemory<byte> message)
    {
        bytesUp += message.Length;
        messagesUp++;
        string name = $"update of client '{client}' in round {index}";
        if (!asked.Contains(client) || answered.ContainsKey(client))
            throw FormatError.At(name, "was not asked for, or came before");
        ClientUpdate update = ClientUpdate.Read(name, message, run, index, client, options.Codec.Name, out ReadOnlyMemory<byte> tensors);
        using SafeTensors encoded = SafeTensors.Read(name, tensors);
        ParameterSet values = options.Codec.Decode(encoded, model);
        answered.Add(client, (new ClientRecord(client, update.Samples, update.LossBefore, update.LossAfter, Norm(values), message.Length), new WeightedUpdate(client, update.Samples, values)));
    }

    /// <summary>Goes on without a client.</summary>
    public void Drop(string client, string reason) => dropped[client] = reason;

    /// <summary>Ends the round: the next model and what happened.</summary>
    /// <exception cref="CoppiceException">No client's update was accepted, or the result is not finite.</exception>
    public (ParameterSet Model, RoundRecord Record) Close()
    {
        if (answered.Count == 0)
            throw new CoppiceException($"Round {index}: no update from any of its {asked.Count} clients: {string.Join("; ", dropped.Select(part => $"'{part.Key}' {part.Value}"))}");
        ParameterSet next = options.Strategy.Aggregate(model, options.Codec.Kind, [.. answered.Values.Select(part => part.Update)]);
        foreach ((string name, Tensor tensor) in next.Tensors)
            if (!float.IsFinite(TensorPrimitives.MaxMagnitude<float>(tensor.Data)))
                throw new CoppiceException($"Round {index}: the average of tensor '{name}' is not finite");
        ImmutableArray<ClientRecord> clients = [.. answered.Values.Select(part => part.Record)];
        double samples = clients.Sum(client => (double)client.Samples);
        return (next, new RoundRecord(index, clients, [.. dropped.Select(part => new DroppedClient(part.Key, part.Value))],
            bytesUp, bytesDown, 4 * model.Count * messagesUp, 4 * model.Count * messagesDown,
            clients.Sum(client => client.Samples * client.LossBefore) / samples, clients.Sum(client => client.Samples * client.LossAfter) / samples,
            Stopwatch.GetElapsedTime(started).TotalSeconds));
    }

    // In double throughout: a hostile update may hold numbers whose squares float32 does not.
    double Norm(ParameterSet values)
    {
        double sum = 0;
        foreach ((string name, Tensor value) in values.Tensors)
        {
            ReadOnlySpan<float> after = value.Data, before = model.Tensors[name].Data;
            for (int i = 0; i < after.Length; i++)
            {
                double change = options.Codec.Kind == UpdateKind.Delta ? after[i] : (double)after[i] - before[i];
                sum += change * change;
            }
        }
        return Math.Sqrt(sum);
    }
}
