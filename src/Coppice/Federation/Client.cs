using System.Security.Cryptography;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation;

/// <summary>One client: it holds its own text and state, gets a task as bytes, trains, and answers with an update as bytes. It knows nothing of the server but the task.</summary>
public sealed class Client
{
    readonly int[] tokens;
    readonly int[] measured;
    readonly WorkerPool pool;
    readonly string? journal;
    ClientState? inMemory;

    /// <summary>A client with its text as token ids.</summary>
    /// <param name="id">Its name in the run.</param>
    /// <param name="tokens">What it trains on; never leaves it.</param>
    /// <param name="pool">The threads that it trains with.</param>
    /// <param name="heldOut">What the losses are measured on; <paramref name="tokens"/> where it is null.</param>
    /// <param name="journal">The file that keeps its state between rounds and processes; null keeps it in memory.</param>
    public Client(string id, int[] tokens, WorkerPool pool, int[]? heldOut = null, string? journal = null) =>
        (Id, this.tokens, this.pool, measured, this.journal) = (id, tokens, pool, heldOut ?? tokens, journal);

    /// <summary>Its name in the run.</summary>
    public string Id { get; }

    /// <summary>Does what the task says and returns the update. The same task a second time gets the same bytes, without training.</summary>
    /// <exception cref="CoppiceException">The task is damaged, is another client's, comes out of turn, does not fit the text, or the loss is not finite. The client's state is as before.</exception>
    public ReadOnlyMemory<byte> Answer(ReadOnlyMemory<byte> message, CancellationToken cancel = default)
    {
        string name = $"task for client '{Id}'";
        RoundTask task = RoundTask.Read(name, message, out ReadOnlyMemory<byte> tensors);
        if (task.Client != Id)
            throw FormatError.At(name, $"is for client '{task.Client}'");
        string hash = Convert.ToHexStringLower(SHA256.HashData(message.Span));
        ClientState? state = Load();
        if (state is not null && state.Run != task.Run)
            state = null;
        if (state?.TaskHash == hash)
            return state.Update;
        if (state?.Round >= task.Round)
            throw FormatError.At(name, $"asks for round {task.Round}, but round {state.Round} of this run was answered already");

        ClientState next = Train(name, task, hash, tensors, state, cancel);
        if (journal is null)
            inMemory = next;
        else
            next.Save(journal);
        return next.Update;
    }

    ClientState Train(string name, RoundTask task, string hash, ReadOnlyMemory<byte> tensors, ClientState? state, CancellationToken cancel)
    {
        ICodec codec = Codecs.Find(task.Codec);
        TrainingOptions options = task.Training.ToOptions();
        DecoderConfig config = task.ReadConfig(name);
        DecoderModel model;
        using (SafeTensors received = SafeTensors.Read(name, tensors))
            model = DecoderCheckpoint.Build(config, received, name => new Models.Families.TensorPlace(name), _ => false);
        ParameterSet before = ParameterSet.Copy(model);
        options.Validate();
        if (options.ContextLength > config.ContextLength)
            throw FormatError.At(name, $"contextLength is {options.ContextLength}, the model's context holds {config.ContextLength}");
        TokenWindows windows = new(tokens, options.ContextLength, options.Seed), held = new(measured, options.ContextLength, options.Seed);
        CheckVocabulary(name, config.VocabularySize);
        Trainer trainer = new(model, windows, options, pool);
        if (state is not null && state.TextHash != windows.Hash())
            throw FormatError.At(name, "the text is not that of the run's earlier rounds");
        state?.Restore(trainer.Optimizer);

        double lossBefore = trainer.Measure(held, task.EvaluationWindows);
        for (int step = 0; step < task.LocalSteps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            trainer.Step(options.RateAt(task.FirstStep + step));
        }
        double lossAfter = trainer.Measure(held, task.EvaluationWindows);
        if (!double.IsFinite(lossAfter))
            throw FormatError.At(name, $"after {task.LocalSteps} local steps the loss is {lossAfter}; lower the learning rate {options.LearningRate}");

        ParameterSet after = new(trainer.Optimizer.Parameters.Select(parameter => (parameter.Name, parameter.Tensor)));
        ParameterSet? memory = codec.Traits.HasFlag(CodecTraits.Stateful) ? ClientState.CopyMemory(state, before) : null;
        byte[] encoded = SafeTensorsWriter.ToBytes(codec.Encode(before, after, memory, Seeds.Generator(task.Seed, "codec", task.Round, Id)));
        byte[] update = Message.Write(
            new ClientUpdate(ClientUpdate.CurrentFormat, task.Run, task.Round, Id, codec.Name, windows.Count, lossBefore, lossAfter), FederationJson.Default.ClientUpdate, encoded);
        return new ClientState(task.Run, task.Round, hash, windows.Hash(), trainer.Optimizer.StepsTaken, update,
            trainer.Optimizer.State.ToDictionary(part => part.Name, part => part.Tensor, StringComparer.Ordinal), memory);
    }

    ClientState? Load() => journal is null ? inMemory : File.Exists(journal) ? ClientState.Load(journal) : null;

    void CheckVocabulary(string name, int size)
    {
        int highest = Math.Max(tokens.Max(), measured.Max());
        if (highest >= size)
            throw FormatError.At(name, $"the text has token id {highest}, the model's vocabulary {size}; they do not belong together");
    }
}
