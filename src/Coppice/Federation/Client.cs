using System.Security.Cryptography;
using Coppice.Federation.Attacks;
using Coppice.Federation.Codecs;
using Coppice.Federation.Distill;
using Coppice.Federation.Privacy;
using Coppice.Federation.Recipes;
using Coppice.Federation.Strategies;
using Coppice.Federation.Voting;
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
    readonly InputsClient inputs;
    readonly ComparisonClient comparison;
    ClientState? inMemory;
    DistillClient? distill;

    /// <summary>A client with its text as token ids.</summary>
    /// <param name="id">Its name in the run.</param>
    /// <param name="tokens">What it trains on; never leaves it.</param>
    /// <param name="pool">The threads that it trains with.</param>
    /// <param name="heldOut">What the losses are measured on; <paramref name="tokens"/> where it is null.</param>
    /// <param name="journal">The file that keeps its state between rounds and processes; null keeps it in memory.</param>
    public Client(string id, int[] tokens, WorkerPool pool, int[]? heldOut = null, string? journal = null)
    {
        (Id, this.tokens, this.pool, measured, this.journal) = (id, tokens, pool, heldOut ?? tokens, journal);
        (inputs, comparison) = (new InputsClient(id, tokens, pool), new ComparisonClient(id, measured, heldOut is not null, pool));
    }

    /// <summary>Its name in the run.</summary>
    public string Id { get; }

    /// <summary>What it does to the run it is in, in a simulation; null for an honest client.</summary>
    public Attack? Attack { get; init; }

    /// <summary>A model of its own, of any shape, for runs in which clients learn from one another's outputs; trained in place. It never leaves the client.</summary>
    public DecoderModel? OwnModel { get; init; }

    /// <summary>Makes the 32 secret bytes that its own noise comes from, where a task asks for some.</summary>
    public Func<byte[]> NewKey { get; init; } = () => RandomNumberGenerator.GetBytes(32);

    /// <summary>How errors call a client's task.</summary>
    internal static string TaskName(string client) => $"task for client '{client}'";

    /// <summary>Does what the task says and returns the update. The same task a second time gets the same bytes, without training.</summary>
    /// <exception cref="CoppiceException">The task is damaged, is another client's, comes out of turn, does not fit the text, or the loss is not finite. The client's state is as before.</exception>
    /// <exception cref="ClientStorageException">Its state could not be read or kept, and is as before.</exception>
    public ReadOnlyMemory<byte> Answer(ReadOnlyMemory<byte> message, CancellationToken cancel = default)
    {
        string name = TaskName(Id);
        switch (Message.FormatOf(name, message))
        {
            case InputsTask.CurrentFormat:
                return inputs.Answer(name, message, cancel);
            case ComparisonTask.CurrentFormat:
                return comparison.Answer(name, message, cancel);
            case DistillTask.CurrentFormat:
                distill ??= new DistillClient(Id, tokens, measured, OwnModel, pool);
                return distill.Answer(name, message, cancel);
        }
        RoundTask task = RoundTask.Read(name, message, out ReadOnlyMemory<byte> tensors);
        if (task.Client != Id)
            throw FormatError.At(name, $"is for client '{task.Client}'");
        string hash = Convert.ToHexStringLower(SHA256.HashData(message.Span));
        ClientState? state = journal is null ? inMemory : Stored(() => File.Exists(journal) ? ClientState.Load(journal) : null);
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
            Stored(() =>
            {
                next.Save(journal);
                return next;
            });
        return next.Update;
    }

    T Stored<T>(Func<T> work)
    {
        try
        {
            return work();
        }
        catch (CoppiceException error)
        {
            throw new ClientStorageException(Id, error);
        }
    }

    ClientState Train(string name, RoundTask task, string hash, ReadOnlyMemory<byte> tensors, ClientState? state, CancellationToken cancel)
    {
        ICodec codec = CodecRegistry.Find(task.Codec);
        TrainingOptions options = task.TrainingOptions();
        DecoderConfig config = task.ReadConfig(name);
        LocalRules rules = task.Rules;
        DecoderModel model;
        DecoderModel? teacher;
        ParameterSet whole;
        ParameterSet? serverControl, masks = null;
        using (SafeTensors received = SafeTensors.Read(name, tensors))
        {
            model = task.Masks is { } pruned ? MaskedNumbers.Build(name, config, received, pruned, name => IsTeacher(name) || IsBook(name), out masks) : DecoderCheckpoint.Build(config, received, name => new Models.Families.TensorPlace(name), name => rules.Control && IsControl(name) || task.Teacher is not null && IsTeacher(name) || TrainedNumbers.IsBeside(name) || codec is SharedProductCodec && IsBook(name));
            if (codec is SharedProductCodec sharing)
                codec = sharing.With(received.ReadTensor(SharedProductCodec.TensorName));
            serverControl = rules.Control ? ReadControl(received, Shared(ParameterSet.Copy(model), rules)) : null;
            teacher = task.Teacher is null ? null : DecoderCheckpoint.Build(task.ReadTeacher(name), received, name => new Models.Families.TensorPlace(LocalTeacher.Prefix + name), name => !IsTeacher(name));
            if (task.Adapters is { } adapters)
            {
                Lora.Attach(model, new LoraOptions { Rank = adapters.Rank, Alpha = adapters.Alpha, Targets = [.. adapters.Names] }, seed: 0);
                TrainedNumbers.CopyTo(ReadBeside(received), Lora.Parameters(model));
            }
            whole = new ParameterSet([.. Pairs(task.Adapters is null ? ParameterSet.Copy(model) : new ParameterSet([])), .. Pairs(ReadBeside(received, task.Adapters is { FreezesInputs: true }))]);
        }
        ParameterSet before = Shared(whole, rules);
        PersonalTensors.Check(rules.Personal, whole);
        options.Validate();
        if (options.ContextLength > config.ContextLength)
            throw FormatError.At(name, $"contextLength is {options.ContextLength}, the model's context holds {config.ContextLength}");
        TokenWindows windows = new(tokens, options.ContextLength, rules.Fresh ? Seeds.Derive(task.Seed, "windows", task.Round, Id) : options.Seed), held = new(measured, options.ContextLength, options.Seed);
        CheckVocabulary(name, config.VocabularySize);
        if (state is not null && state.TextHash != windows.Hash())
            throw FormatError.At(name, "the text is not that of the run's earlier rounds");
        if (rules.Personal.Length > 0)
            new ParameterSet([.. Pairs(before), .. Pairs(ClientState.CopyKept(state?.Personal, Own(whole, rules)))]).CopyTo(model);
        ParameterSet? control = serverControl is null ? null : ClientState.CopyKept(state?.Control, before.Zeros());
        Action<IReadOnlyList<Parameter>>? correction = rules.Proximal > 0 || control is not null ? new GradientCorrection(before, rules.Proximal, serverControl, control).Apply : null;
        ParameterSet? gradients = task.Masks is { Votes: true } ? masks!.Zeros() : null;
        Trainer trainer = new(model, windows, options, pool, teacher, masks?.Tensors)
        {
            Correction = gradients is null ? correction : parameters =>
            {
                AddGradients(parameters, gradients);
                correction?.Invoke(parameters);
            },
        };
        TrainedNumbers.CopyTo(before, trainer.Optimizer.Parameters.Where(parameter => TrainedNumbers.IsBeside(parameter.Name)));
        if (!rules.Fresh)
            state?.Restore(trainer.Optimizer);
        trainer.ClearMasked();

        double lossBefore = trainer.Measure(held, task.EvaluationWindows);
        for (int step = 0; step < task.LocalSteps; step++)
        {
            cancel.ThrowIfCancellationRequested();
            trainer.Step(options.RateAt(task.FirstStep + step));
        }
        double lossAfter = trainer.Measure(held, task.EvaluationWindows);
        if (!double.IsFinite(lossAfter))
            throw FormatError.At(name, $"after {task.LocalSteps} local steps the loss is {lossAfter}; lower the learning rate {options.LearningRate}");

        ParameterSet trained = new(trainer.Optimizer.Parameters.Select(parameter => (parameter.Name, parameter.Tensor))), after = Leaving(before, Shared(trained, rules), rules);
        ParameterSet? memory = codec.NewMemory(before) is { } fresh ? ClientState.CopyKept(state?.Memory, fresh) : null;
        IReadOnlyList<TensorSource> code = Encode(codec, before, after, ref memory, masks, Seeds.Generator(task.Seed, "codec", task.Round, Id));
        byte[] encoded = SafeTensorsWriter.ToBytes(gradients is null ? code : [.. code, MaskVotes.Write(task.Masks!, masks!, MaskVotes.Of(task.Masks!, masks!, trained, gradients))]);
        byte[] update = Message.Write(
            new ClientUpdate(ClientUpdate.CurrentFormat, task.Run, task.Round, Id, codec.Name, windows.Count, lossBefore, lossAfter), FederationJson.Default.ClientUpdate, encoded);
        if (control is not null)
            Follow(control, serverControl!, codec, encoded, before, Enumerable.Range(task.FirstStep, task.LocalSteps).Sum(options.RateAt));
        return new ClientState(task.Run, task.Round, hash, windows.Hash(), trainer.Optimizer.StepsTaken, update,
            (rules.Fresh ? [] : trainer.Optimizer.State).ToDictionary(part => part.Name, part => part.Tensor, StringComparer.Ordinal), memory, control, rules.Personal.Length > 0 ? Own(trained, rules) : null);
    }

    // What leaves the client: an attacker's weights are forged, and with local privacy the delta is clipped and has noise.
    ParameterSet Leaving(ParameterSet before, ParameterSet after, LocalRules rules)
    {
        ParameterSet leaving = Attack?.Forge(before, after) ?? after;
        if (rules.Clip == 0)
            return leaving;
        using KeyedRandom random = new(NewKey(), "local");
        return GaussianMechanism.Perturb(before, leaving, rules.Clip, rules.Noise, random);
    }

    // Of pruned matrices only what their masks keep is coded, and what was lost is kept in its place.
    static IReadOnlyList<TensorSource> Encode(ICodec codec, ParameterSet before, ParameterSet after, ref ParameterSet? memory, ParameterSet? masks, Random random)
    {
        if (masks is null)
            return codec.Encode(before, after, memory, random);
        ParameterSet? lost = memory is null ? null : MaskedNumbers.Pack(memory, masks);
        IReadOnlyList<TensorSource> code = codec.Encode(MaskedNumbers.Pack(before, masks), MaskedNumbers.Pack(after, masks), lost, random);
        memory = lost is null ? null : MaskedNumbers.Unpack(lost, masks);
        return code;
    }

    static void AddGradients(IReadOnlyList<Parameter> parameters, ParameterSet sums)
    {
        foreach (Parameter parameter in parameters)
            if (sums.Tensors.TryGetValue(parameter.Name, out Tensor? sum))
                System.Numerics.Tensors.TensorPrimitives.Add<float>(sum.Data, parameter.Tensor.Grad!.Data, sum.Data);
    }

    // c_i+ = c_i - c - (y - x) / sum of rates, with the y - x that the server decodes, so that its c stays the mean of all c_i.
    static void Follow(ParameterSet control, ParameterSet serverControl, ICodec codec, byte[] encoded, ParameterSet before, double rateSum)
    {
        using SafeTensors own = SafeTensors.Read("own update", encoded);
        ParameterSet decoded = codec.Decode(own, before), delta = codec.Kind == UpdateKind.Weights ? decoded.Minus(before) : decoded;
        foreach ((string name, Tensor tensor) in control.Tensors)
        {
            ReadOnlySpan<float> server = serverControl.Tensors[name].Data, change = delta.Tensors[name].Data;
            for (int i = 0; i < server.Length; i++)
                tensor.Data[i] = (float)(tensor.Data[i] - server[i] - change[i] / rateSum);
        }
    }

    static bool IsTeacher(string name) => name.StartsWith(LocalTeacher.Prefix, StringComparison.Ordinal);

    static bool IsBook(string name) => name == SharedProductCodec.TensorName;

    // Steps and adapters that came, but for those that stay as they are.
    static ParameterSet ReadBeside(SafeTensors received, bool withoutInputs = false) =>
        new(received.Names.Where(name => TrainedNumbers.IsBeside(name) && !IsTeacher(name) && !(withoutInputs && TrainedNumbers.IsAdapterInput(name))).Select(name => (name, received.ReadTensor(name))));

    static bool IsControl(string name) => name.StartsWith(Scaffold.Prefix, StringComparison.Ordinal);

    static ParameterSet ReadControl(SafeTensors received, ParameterSet shared)
    {
        return shared.Map((name, like) =>
        {
            Tensor control = received.ReadTensor(Scaffold.Prefix + name);
            return control.Shape == like.Shape ? control : throw FormatError.At(received.Path, $"tensor '{Scaffold.Prefix + name}' is {control.Shape}, wanted {like.Shape}");
        });
    }

    static ParameterSet Shared(ParameterSet all, LocalRules rules) => PersonalTensors.Shared(rules.Personal, all);

    static ParameterSet Own(ParameterSet all, LocalRules rules) => all.Where(name => PersonalTensors.Contains(rules.Personal, name));

    static IEnumerable<(string, Tensor)> Pairs(ParameterSet set) => set.Tensors.Select(part => (part.Key, part.Value));

    void CheckVocabulary(string name, int size)
    {
        int highest = Math.Max(tokens.Max(), measured.Max());
        if (highest >= size)
            throw FormatError.At(name, $"the text has token id {highest}, the model's vocabulary {size}; they do not belong together");
    }
}
