using System.Globalization;
using Coppice.Formats;
using Coppice.Tensors;
using Coppice.Training;

namespace Coppice.Federation;

/// <summary>
/// What a client keeps between rounds: its optimizer's state, what its codec lost, its control variates, its own tensors, and the last update with the task that it answers.
/// All of it is committed at once, so that a task that comes a second time gets the same bytes and nothing is trained twice.
/// </summary>
sealed record ClientState(string Run, int Round, string TaskHash, string TextHash, int StepsTaken, byte[] Update, IReadOnlyDictionary<string, Tensor> Optimizer,
    ParameterSet? Memory, ParameterSet? Control, ParameterSet? Personal)
{
    const string UpdateName = "update", MemoryPrefix = "memory.", ControlPrefix = "control.", PersonalPrefix = "personal.";

    /// <summary>Takes the optimizer's place, as it was when the state was made.</summary>
    public void Restore(Optimizer optimizer)
    {
        foreach ((string name, Tensor tensor) in optimizer.State)
            Kept(Optimizer, name, tensor).Data.CopyTo(tensor.Data);
        optimizer.StepsTaken = StepsTaken;
    }

    /// <summary>A copy of what was kept, or what a client begins with.</summary>
    public static ParameterSet CopyKept(ParameterSet? kept, ParameterSet fresh) => kept is null
        ? fresh
        : fresh.Map((name, tensor) => Tensor.From(tensor.Shape, Kept(kept.Tensors, name, tensor).Data));

    // The server says which model and optimizer a round has; within a run they may not change.
    static Tensor Kept(IReadOnlyDictionary<string, Tensor> kept, string name, Tensor like) => kept.TryGetValue(name, out Tensor? tensor) && tensor.Shape == like.Shape
        ? tensor
        : throw new CoppiceException($"the client's state has no '{name}' {like.Shape}: the task's model or optimizer is not that of the run's earlier rounds");

    /// <summary>Writes one file, whole or not at all.</summary>
    public void Save(string path) => SafeTensorsWriter.WriteFile(path,
        [
            TensorSource.Raw(UpdateName, DType.U8, [Update.Length], Update),
            .. Optimizer.Select(part => TensorSource.Floats(part.Key, DType.F32, part.Value)),
            .. Sources(MemoryPrefix, Memory), .. Sources(ControlPrefix, Control), .. Sources(PersonalPrefix, Personal),
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
        string[] prefixes = [MemoryPrefix, ControlPrefix, PersonalPrefix];
        return new ClientState(Text("run"), Number("round"), Text("task"), Text("text"), Number("step"), file.Find(UpdateName).ToBytes(),
            file.Names.Where(name => name != UpdateName && !prefixes.Any(prefix => name.StartsWith(prefix, StringComparison.Ordinal))).ToDictionary(name => name, file.ReadTensor, StringComparer.Ordinal),
            Set(MemoryPrefix), Set(ControlPrefix), Set(PersonalPrefix));

        ParameterSet? Set(string prefix)
        {
            string[] names = [.. file.Names.Where(name => name.StartsWith(prefix, StringComparison.Ordinal))];
            return names.Length == 0 ? null : new ParameterSet(names.Select(name => (name[prefix.Length..], file.ReadTensor(name))));
        }

        string Text(string key) => file.Metadata.GetValueOrDefault(key) ?? throw new CoppiceException($"{path}: has no '{key}'; delete it to start this client anew");
        int Number(string key) => int.TryParse(Text(key), NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            ? number
            : throw new CoppiceException($"{path}: '{key}' is '{Text(key)}', wanted a whole number");
    }

    static IEnumerable<TensorSource> Sources(string prefix, ParameterSet? set) => set is null ? [] : set.Tensors.Select(part => TensorSource.Floats(prefix + part.Key, DType.F32, part.Value));
}
