using System.Text.Json;
using Coppice.Compression;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Federation.Recipes;

/// <summary>The server's side of a recipe's passes: what enters each matrix over all clients' texts, asked of them stage after stage. A client gets each matrix once, as it will stay.</summary>
sealed class ClientInputs : IInputSource
{
    readonly DecoderModel model;
    readonly Fleet fleet;
    readonly FleetOptions options;
    readonly JsonElement config;
    readonly Dictionary<MatrixLayer, string> names;

    // The place of each stage among all stages, and the matrices of each.
    readonly List<IReadOnlyList<Linear>> stages = [];
    readonly List<int> firstStage = [];

    // For each client that is in step: the step that it answered last, and the stages that it has.
    readonly Dictionary<string, (int Step, int Stages)> places = new(StringComparer.Ordinal);

    /// <summary>Sends every client what a text meets first, and asks how many tokens it takes.</summary>
    public ClientInputs(DecoderModel model, Fleet fleet, FleetOptions options, CancellationToken cancel)
    {
        (this.model, this.fleet, this.options) = (model, fleet, options);
        config = RoundTask.WriteConfig(model.Config, DType.F32);
        names = model.Matrices().ToDictionary(part => part.Layer, part => part.Name);
        foreach (TransformerBlock block in model.Blocks)
        {
            firstStage.Add(stages.Count);
            stages.AddRange(block.Stages.Select(stage => (IReadOnlyList<Linear>)[.. stage.Matrices]));
        }
        firstStage.Add(stages.Count);
        Tokens = Ask(0, 0, [], Statistics.ColumnNorms, cancel).Sum(answer => answer.Answer.AllTokens);
    }

    /// <inheritdoc/>
    public long Tokens { get; }

    /// <inheritdoc/>
    /// <remarks>No more than is needed leaves a client.</remarks>
    public Statistics Wanted(Statistics needed) => needed;

    /// <inheritdoc/>
    public InputStatistics[] Measure(TransformerBlock block, int index, IReadOnlyList<Linear> readers, Statistics kind, CancellationToken cancel)
    {
        int stage = firstStage[index];
        while (!stages[stage].Contains(readers[0]))
            stage++;
        return Together(Ask(index, stage, readers, kind, cancel), readers.Count);
    }

    /// <inheritdoc/>
    public InputStatistics? MeasureHead(MatrixLayer layer, Statistics kind, CancellationToken cancel) =>
        ReferenceEquals(layer.Weight, model.Output.Weight) ? Together(Ask(model.Blocks.Count, stages.Count, [layer], kind, cancel), 1)[0] : null;

    /// <inheritdoc/>
    /// <remarks>Clients do so when they are asked about what comes behind it.</remarks>
    public void Advance(TransformerBlock block, int index, CancellationToken cancel)
    {
    }

    /// <inheritdoc/>
    public void LetGo()
    {
    }

    InputStatistics[] Together(IReadOnlyList<(InputsAnswer Answer, InputStatistics[] Statistics)> answers, int readers) =>
        [.. Enumerable.Range(0, readers).Select(i => InputStatistics.Together([.. answers.Select(answer => (answer.Statistics[i], options.For is null || options.For == answer.Answer.Client ? 1 : options.Others))]))];

    // All clients, in order; one that did not answer last time begins anew.
    List<(InputsAnswer Answer, InputStatistics[] Statistics)> Ask(int block, int stage, IReadOnlyList<MatrixLayer> readers, Statistics kind, CancellationToken cancel)
    {
        int step = fleet.NextStep();
        string what = readers.Count == 0 ? "the start of the passes" : $"the inputs of {names[readers[0]]}";
        int[] columns = [.. readers.Select(reader => reader.Weight.Columns)];
        Dictionary<string, (int Step, int Stages)> before = new(places, StringComparer.Ordinal);
        places.Clear();
        return fleet.Ask(step, what, Write, (client, answer) =>
        {
            (InputsAnswer, InputStatistics[]) read = InputsAnswer.Read($"inputs of client '{client}' in step {step}", answer, Task(client, 0), columns);
            places[client] = (step, stage);
            return read;
        }, cancel);

        ReadOnlyMemory<byte> Write(string client)
        {
            (int since, int have) = before.GetValueOrDefault(client);
            IEnumerable<MatrixLayer> come = stages.Take(stage).Skip(have).SelectMany(own => own);
            IEnumerable<TensorSource> tensors = come.SelectMany(layer => WireWeights.Of(names[layer], layer.Weight));
            if (since == 0)
                tensors = tensors.Concat(WireWeights.Vectors(model)).Concat(Others());
            return Message.Write(Task(client, since), FederationJson.Default.InputsTask, SafeTensorsWriter.ToBytes([.. tensors]));
        }

        InputsTask Task(string client, int since) => new(InputsTask.CurrentFormat, fleet.Run, step, since, client, options.Seed, options.CalibrationTokens, Math.Min(options.ContextLength, model.ContextLength), block,
            [.. readers.Select(reader => names[reader])], kind, config);
    }

    // Embeddings, and what chooses experts: what is of no stage, but for the head, whose product nobody needs.
    IEnumerable<TensorSource> Others()
    {
        HashSet<MatrixLayer> staged = [.. stages.SelectMany(stage => stage)];
        return model.Matrices().Where(part => !staged.Contains(part.Layer) && !ReferenceEquals(part.Layer, model.Output)).SelectMany(part => WireWeights.Of(part.Name, part.Layer.Weight));
    }
}
