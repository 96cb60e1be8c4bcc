using Coppice.Federation;
using Coppice.Formats;
using Coppice.Server.Store;
using Coppice.Tensors;

namespace Coppice.Server.Rounds;

/// <summary>A client's message in a file, mapped: decoded one slice of the model at a time.</summary>
sealed class StoredUpdate : IDisposable
{
    readonly BinaryFile file;
    readonly SafeTensors tensors;
    readonly StoredModel model;
    readonly ICodec codec;
    readonly bool whole;

    /// <summary>Opens a message and checks everything of it but its numbers.</summary>
    /// <param name="name">How errors call it.</param>
    /// <param name="path">The file.</param>
    /// <param name="run">The run, round and client that it must be of.</param>
    /// <param name="model">What the client got.</param>
    /// <exception cref="CoppiceException">It is anything else than what was asked for.</exception>
    public StoredUpdate(string name, string path, string run, int round, string client, StoredModel model, RunSettings settings)
    {
        (this.model, codec, whole) = (model, settings.Federation.Codec, !settings.TensorByTensor);
        file = new BinaryFile(path);
        try
        {
            if (file.Length > Array.MaxLength)
                throw FormatError.At(name, $"has {file.Length:N0} bytes, more than the {Array.MaxLength:N0} of a message");
            Control = ClientUpdate.Read(name, file.View<byte>(0, (int)file.Length, "the message"), run, round, client, codec.Name, out ReadOnlyMemory<byte> encoded);
            tensors = SafeTensors.Read(name, encoded);
            if (!whole && tensors.Names.FirstOrDefault(tensor => model.PlaceOf(tensor) is null) is { } foreign)
                throw FormatError.At(name, $"has tensor '{foreign}', which is of no tensor of the model");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>The control part.</summary>
    public ClientUpdate Control { get; }

    /// <summary>The decoded numbers of one slice.</summary>
    /// <param name="slice">Which.</param>
    /// <param name="part">The model's numbers there.</param>
    /// <exception cref="CoppiceException">They are not what the codec calls for, or not finite.</exception>
    public ParameterSet Decode(int slice, ParameterSet part)
    {
        if (whole)
            return codec.Decode(tensors, part);
        using SafeTensors own = tensors.Part(tensor => model.PlaceOf(tensor) == slice);
        return codec.Decode(own, part);
    }

    /// <summary>Decodes all of a message, slice by slice, and says what the store keeps of it.</summary>
    /// <exception cref="CoppiceException">A number of it is not what was asked for.</exception>
    public UpdateRow Check(string blob)
    {
        double sum = 0;
        for (int slice = 0; slice < model.SliceCount; slice++)
        {
            ParameterSet before = model.Slice(slice);
            foreach ((string name, Tensor value) in Decode(slice, before).Tensors)
                sum += ParameterSet.SquaredDistance(value.Data, codec.Kind == UpdateKind.Weights ? before.Tensors[name].Data : default);
        }
        return new UpdateRow(blob, file.Length, Control.Samples, Control.LossBefore, Control.LossAfter, Math.Sqrt(sum));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        tensors.Dispose();
        file.Dispose();
    }
}
