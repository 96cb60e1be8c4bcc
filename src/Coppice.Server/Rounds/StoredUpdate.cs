using System.Buffers;
using Coppice.Federation;
using Coppice.Federation.Codecs;
using Coppice.Formats;
using Coppice.Server.Store;

namespace Coppice.Server.Rounds;

/// <summary>A client's message in a file, decoded a piece at a time; as a whole where its codec has to.</summary>
sealed class StoredUpdate : IDisposable
{
    readonly BinaryFile file;
    readonly SafeTensors tensors;
    readonly StoredModel model;
    readonly ICodec codec;
    ParameterSet? whole;

    /// <summary>Opens a message and checks everything of it but its numbers.</summary>
    /// <param name="name">How errors call it.</param>
    /// <param name="path">The file.</param>
    /// <param name="run">The run, round and client that it must be of.</param>
    /// <param name="model">What the client got.</param>
    /// <exception cref="CoppiceException">It is anything else than what was asked for.</exception>
    public StoredUpdate(string name, string path, string run, int round, string client, StoredModel model, RunSettings settings)
    {
        (this.model, codec) = (model, settings.Federation.Codec);
        file = new BinaryFile(path, name);
        try
        {
            Control = ClientUpdate.Open(file, run, round, client, codec.Name, out BinaryFile encoded);
            tensors = SafeTensors.Read(encoded);
            if (codec is PositionalCodec positional)
                positional.Check(tensors, model.Tensors.Select(tensor => (tensor.Name, tensor.Shape)));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The control part.</summary>
    public ClientUpdate Control { get; }

    /// <summary>Decodes a piece of one of the model's tensors.</summary>
    /// <exception cref="CoppiceException">Its numbers are not what the codec calls for, or not finite.</exception>
    public void Read(string tensor, int first, Span<float> values)
    {
        if (codec is PositionalCodec positional)
            positional.Decode(tensors, tensor, first, values);
        else
            (whole ??= codec.Decode(tensors, model.Whole())).Tensors[tensor].Data.Slice(first, values.Length).CopyTo(values);
    }

    /// <summary>The same as a change of the model.</summary>
    public void ReadChange(string tensor, int first, Span<float> values)
    {
        Read(tensor, first, values);
        if (codec.Kind != UpdateKind.Weights)
            return;
        float[] before = ArrayPool<float>.Shared.Rent(values.Length);
        model.Read(tensor, first, before.AsSpan(0, values.Length));
        for (int i = 0; i < values.Length; i++)
            values[i] -= before[i];
        ArrayPool<float>.Shared.Return(before);
    }

    /// <summary>Decodes all of a message and says what the store keeps of it.</summary>
    /// <exception cref="CoppiceException">A number of it is not what was asked for.</exception>
    public UpdateRow Check(string blob)
    {
        float[] values = ArrayPool<float>.Shared.Rent(ParameterSet.PieceLength), before = ArrayPool<float>.Shared.Rent(ParameterSet.PieceLength);
        double all = 0;
        foreach (StoredTensor tensor in model.Tensors)
        {
            double sum = 0;
            foreach ((int first, int count) in tensor.Pieces)
            {
                Read(tensor.Name, first, values.AsSpan(0, count));
                if (codec.Kind == UpdateKind.Weights)
                    model.Read(tensor.Name, first, before.AsSpan(0, count));
                sum += ParameterSet.SquaredDistance(values.AsSpan(0, count), codec.Kind == UpdateKind.Weights ? before.AsSpan(0, count) : default);
            }
            all += sum;
        }
        ArrayPool<float>.Shared.Return(values);
        ArrayPool<float>.Shared.Return(before);
        return new UpdateRow(blob, file.Length, Control.Samples, Control.LossBefore, Control.LossAfter, Math.Sqrt(all));
    }

    /// <inheritdoc/>
    public void Dispose() => file.Dispose();
}
