using System.Globalization;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation;

/// <summary>
/// What a client keeps between rounds: its optimizer's state, what its codec lost, and the last update with the task that it answers.
/// All of it is committed at once, so that a task that comes a second time gets the same bytes and nothing is trained twice.
/// </summary>
sealed record ClientState(string Run, int Round, string TaskHash, string TextHash, int StepsTaken, byte[] Update, IReadOnlyDictionary<string, Tensor> Optimizer, ParameterSet? Memory)
{
    const string UpdateName = "update", MemoryPrefix = "memory.";

    /// <summary>Takes the optimizer's place, as it was when the state was made.</summary>
    public void Restore(Optimizer optimizer)
    {
        foreach ((string name, Tensor tensor) in optimizer.State)
            Kept(Optimizer, name, tensor).Data.CopyTo(tensor.Data);
        optimizer.StepsTaken = StepsTaken;
    }

    /// <summary>A copy of what the codec lost so far, zeros if nothing was kept.</summary>
    public static ParameterSet CopyMemory(ClientState? state, ParameterSet like) => state?.Memory is { } memory
        ? like.Map((name, tensor) => Tensor.From(tensor.Shape, Kept(memory.Tensors, name, tensor).Data))
        : like.Zeros();

    // The server says which model and optimizer a round has; within a run they may not change.
    static Tensor Kept(IReadOnlyDictionary<string, Tensor> kept, string name, Tensor like) => kept.TryGetValue(name, out Tensor? tensor) && tensor.Shape == like.Shape
        ? tensor
        : throw new CoppiceException($"the client's state has no '{name}' {like.Shape}: the task's model or optimizer is not that of the run's earlier rounds");

    /// <summary>Writes one file, whole or not at all.</summary>
    public void Save(string path) => SafeTensorsWriter.WriteFile(path,
        [
            TensorSource.Raw(UpdateName, DType.U8, [Update.Length], Update),
            .. Optimizer.Select(part => TensorSource.Floats(part.Key, DType.F32, part.Value)),
            .. (Memory?.Tensors ?? new Dictionary<string, Tensor>()).Select(part => TensorSource.Floats(MemoryPrefix + part.Key, DType.F32, part.Value)),
        ],
        new Dictionary<string, string>
        {
            ["run"] = Run,
            ["round"] = Round.ToString(CultureInfo.InvariantCulture),
            ["task"] = TaskHash,
            ["text"] = TextHash,
            ["step"] = StepsTaken.ToString(CultureInfo.InvariantCulture),
        });

    /// <summary>Reads a file that <see cref="Save"/> wrote.</summary>
    /// <exception cref="CoppiceException">The file is damaged.</exception>
    public static ClientState Load(string path)
    {
        using SafeTensors file = SafeTensors.Open(path);
        List<(string Name, Tensor Tensor)> memory = [];
        Dictionary<string, Tensor> optimizer = new(StringComparer.Ordinal);
        foreach (string name in file.Names.Where(name => name != UpdateName))
            if (name.StartsWith(MemoryPrefix, StringComparison.Ordinal))
                memory.Add((name[MemoryPrefix.Length..], file.ReadTensor(name)));
            else
                optimizer.Add(name, file.ReadTensor(name));
        return new ClientState(Text("run"), Number("round"), Text("task"), Text("text"), Number("step"), file.Find(UpdateName).ToBytes(), optimizer, memory.Count > 0 ? new ParameterSet(memory) : null);

        string Text(string key) => file.Metadata.GetValueOrDefault(key) ?? throw new CoppiceException($"{path}: has no '{key}'; delete it to start this client anew");
        int Number(string key) => int.TryParse(Text(key), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new CoppiceException($"{path}: '{key}' is '{Text(key)}', wanted a whole number");
    }
}
