using System.Security.Cryptography;
using Coppice.Compression;
using Coppice.Formats;
using Coppice.Models;
using Coppice.Tensors;

namespace Coppice.Federation.Recipes;

/// <summary>A client's side of a recipe's passes: its text is on its way through a model that comes matrix by matrix, as it will stay. It has the blocks that came, and its text's hidden states.</summary>
sealed class InputsClient(string id, int[] tokens, WorkerPool pool)
{
    DecoderModel? model;
    Calibration? text;
    Dictionary<string, MatrixLayer> layers = [];
    string run = "", hash = "";
    int step, block;
    byte[] answer = [];

    /// <summary>Does what a task asks. The same task a second time gets the same bytes.</summary>
    /// <exception cref="CoppiceException">The task is damaged or another client's, or goes on from where this client is not.</exception>
    public ReadOnlyMemory<byte> Answer(string name, ReadOnlyMemory<byte> message, CancellationToken cancel)
    {
        InputsTask task = InputsTask.Read(name, message, out ReadOnlyMemory<byte> tensors);
        if (task.Client != id)
            throw FormatError.At(name, $"is for client '{task.Client}'");
        string asked = Convert.ToHexStringLower(SHA256.HashData(message.Span));
        if (asked == hash)
            return answer;
        if (task.Since > 0 && (task.Run, task.Since) != (run, step))
            throw FormatError.At(name, $"goes on from step {task.Since}, and this client is at step {(task.Run == run ? step : 0)}");
        using SafeTensors file = SafeTensors.Read(name, tensors);
        if (task.Since == 0)
            Begin(name, task, file);
        else
            Take(file);
        IReadOnlyList<InputStatistics> statistics = Gather(name, task, cancel);
        (run, step, hash) = (task.Run, task.Step, asked);
        return answer = InputsAnswer.Write(task, text!.Tokens, statistics);
    }

    void Begin(string name, InputsTask task, SafeTensors file)
    {
        DecoderConfig config = DecoderFolder.ReadConfig(new JsonFields(name, task.Model));
        if (task.ContextLength > config.ContextLength)
            throw FormatError.At(name, $"contextLength is {task.ContextLength}, the model's context holds {config.ContextLength}");
        if (tokens.Max() is var highest && highest >= config.VocabularySize)
            throw FormatError.At(name, $"the text has token id {highest}, the model's vocabulary {config.VocabularySize}; they do not belong together");
        hash = "";
        model = WireWeights.Model(config, file);
        layers = model.Matrices().ToDictionary(part => part.Name, part => part.Layer, StringComparer.Ordinal);
        text = new Calibration(model, Windows(tokens, task), pool);
        block = 0;
    }

    void Take(SafeTensors file)
    {
        foreach ((string name, MatrixLayer layer) in layers)
            if (WireWeights.Read(file, name, layer.Weight.Rows, layer.Weight.Columns) is { } weight)
                layer.Weight = weight;
    }

    IReadOnlyList<InputStatistics> Gather(string name, InputsTask task, CancellationToken cancel)
    {
        if (task.Block < block || task.Block > model!.Blocks.Count)
            throw FormatError.At(name, $"asks for block {task.Block} of {model!.Blocks.Count}, and this client's text is past block {block - 1}");
        for (; block < task.Block; block++)
        {
            text!.Advance(model.Blocks[block], block, cancel);
            // What the text is past is not looked at again.
            foreach (Linear passed in model.Blocks[block].Stages.SelectMany(stage => stage.Matrices))
                passed.Weight = Absent(passed.Weight);
        }
        MatrixLayer[] readers = [.. task.Readers.Select(reader => layers.GetValueOrDefault(reader) ?? throw FormatError.At(name, $"asks for the inputs of '{reader}', which the model does not have"))];
        if (task.Block == model.Blocks.Count)
            return [.. readers.Select(reader => text!.MeasureHead(reader, task.Statistics, cancel) ?? throw FormatError.At(name, "asks for the head's inputs of a matrix that it does not read"))];
        return readers.Length == 0 ? [] : text!.Measure(model.Blocks[block], block, [.. readers.Select(reader => reader as Linear ?? throw FormatError.At(name, "asks for the inputs of an embedding"))], task.Statistics, cancel);
    }

    static Weights.DeferredWeight Absent(Weights.Weight weight) => new(weight.Rows, weight.Columns, () => throw new InvalidOperationException("InputsClient: a block that the text is past"));

    // Whole windows in an order by seed, as many as are wanted; of a text that is shorter than one, all of it.
    static List<int[]> Windows(int[] tokens, InputsTask task)
    {
        int[][] pieces = [.. tokens.Chunk(task.ContextLength).Where(piece => piece.Length == task.ContextLength || tokens.Length < task.ContextLength)];
        Seeds.Generator(task.Seed, "inputs", 0, task.Client).Shuffle(pieces);
        return [.. pieces.Take(Math.Max(1, task.Tokens / task.ContextLength))];
    }
}
