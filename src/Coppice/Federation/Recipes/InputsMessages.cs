using System.Runtime.InteropServices;
using System.Text.Json;
using Coppice.Compression;
using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Recipes;

/// <summary>Server to client: go on through the model, and say what enters some matrices. With it come the matrices that are final since the client last answered; before the first step, the vectors and the embedding.</summary>
/// <param name="Step">1-based, counted over all that is asked in a run.</param>
/// <param name="Since">The step that the client answered last; 0 begins anew with what comes.</param>
/// <param name="Seed">Draws the windows.</param>
/// <param name="Tokens">How many tokens of its text the client takes, at most.</param>
/// <param name="ContextLength">Tokens of a window.</param>
/// <param name="Block">Whose inputs, 0-based; the number of blocks is the head.</param>
/// <param name="Readers">Full names of matrices, without <c>.weight</c>; none wants nothing but that the client is there.</param>
sealed record InputsTask(string Format, string Run, int Step, int Since, string Client, int Seed, int Tokens, int ContextLength, int Block, string[] Readers, Statistics Statistics, JsonElement Model)
{
    public const string CurrentFormat = "coppice.inputs.1";

    public static InputsTask Read(string name, ReadOnlyMemory<byte> message, out ReadOnlyMemory<byte> tensors)
    {
        InputsTask task = Message.Read(name, message, FederationJson.Default.InputsTask, out tensors);
        if (task.Step < 1 || task.Since < 0 || task.Since >= task.Step || task.Tokens < 1 || task.ContextLength < 1 || task.Block < 0)
            throw FormatError.At(name, $"step {task.Step}, since {task.Since}, tokens {task.Tokens}, contextLength {task.ContextLength}, block {task.Block}; wanted 1, 0 to step - 1, 1, 1, 0 or more");
        if (task.Readers.Length > 0 && task.Statistics == Statistics.None)
            throw FormatError.At(name, "asks for no statistics");
        return task;
    }
}

/// <summary>Client to server: sums over its tokens. With it come, for reader i, <c>i.squares</c> F64 [columns], and of products <c>i.products</c> F32 up to the diagonal, row after row.</summary>
/// <param name="AllTokens">Tokens of its windows.</param>
/// <param name="Tokens">Of each reader those that reached it.</param>
sealed record InputsAnswer(string Format, string Run, int Step, string Client, long AllTokens, long[] Tokens)
{
    /// <summary>The whole message.</summary>
    public static byte[] Write(InputsTask task, long allTokens, IReadOnlyList<InputStatistics> statistics) => Message.Write(
        new InputsAnswer(InputsTask.CurrentFormat, task.Run, task.Step, task.Client, allTokens, [.. statistics.Select(own => own.Tokens)]), FederationJson.Default.InputsAnswer,
        SafeTensorsWriter.ToBytes(statistics.SelectMany(Sources)));

    /// <summary>Takes a message apart, which is not trusted.</summary>
    /// <param name="columns">Inputs of each reader.</param>
    /// <exception cref="CoppiceException">It is anything else than what was asked for.</exception>
    public static (InputsAnswer Answer, InputStatistics[] Statistics) Read(string name, ReadOnlyMemory<byte> message, InputsTask task, IReadOnlyList<int> columns)
    {
        InputsAnswer answer = Message.Read(name, message, FederationJson.Default.InputsAnswer, out ReadOnlyMemory<byte> tensors);
        if ((answer.Format, answer.Run, answer.Step, answer.Client) != (InputsTask.CurrentFormat, task.Run, task.Step, task.Client))
            throw FormatError.At(name, $"is '{answer.Format}', step {answer.Step} of client '{answer.Client}'; wanted '{InputsTask.CurrentFormat}', step {task.Step} of client '{task.Client}' in the same run");
        if (answer.AllTokens < 1 || answer.Tokens.Length != columns.Count || answer.Tokens.Any(count => count < 0 || count > answer.AllTokens))
            throw FormatError.At(name, $"counts {answer.AllTokens} tokens, and {string.Join(", ", answer.Tokens)} that reached the {columns.Count} matrices");
        using SafeTensors file = SafeTensors.Read(name, tensors);
        bool isGram = task.Statistics == Statistics.Gram;
        if (file.Entries.Count != columns.Count * (isGram ? 2 : 1))
            throw FormatError.At(name, $"has {file.Entries.Count:N0} tensors, wanted {columns.Count * (isGram ? 2 : 1):N0}");
        InputStatistics[] statistics = new InputStatistics[columns.Count];
        for (int i = 0; i < statistics.Length; i++)
        {
            double[] squares = Numbers<double>(file, $"{i}.squares", DType.F64, columns[i]);
            float[] products = isGram ? Numbers<float>(file, $"{i}.products", DType.F32, checked(columns[i] * (columns[i] + 1) / 2)) : [];
            if (squares.Any(square => !(square >= 0 && double.IsFinite(square))) || products.Any(product => !float.IsFinite(product)))
                throw FormatError.At(name, $"has sums of '{task.Readers[i]}' that are not finite, or squares below 0");
            statistics[i] = InputStatistics.From(squares, products, answer.Tokens[i]);
        }
        return (answer, statistics);
    }

    static IEnumerable<TensorSource> Sources(InputStatistics own, int i)
    {
        yield return TensorSource.Raw($"{i}.squares", DType.F64, [own.Columns], own.Squares.ToArray());
        if (own.Kind == Statistics.Gram)
            yield return TensorSource.Raw($"{i}.products", DType.F32, [(long)own.Columns * (own.Columns + 1) / 2], own.Products());
    }

    static T[] Numbers<T>(SafeTensors file, string tensor, DType type, int count) where T : unmanaged
    {
        TensorEntry entry = file.Find(tensor);
        if (entry.DType != type || !entry.Shape.SequenceEqual([count]))
            throw FormatError.At(file.Path, $"tensor '{tensor}' is {entry.DType} [{string.Join(", ", entry.Shape)}], wanted {type} [{count}]");
        T[] values = new T[count];
        entry.ReadBytes(0, MemoryMarshal.AsBytes(values.AsSpan()));
        return values;
    }
}
