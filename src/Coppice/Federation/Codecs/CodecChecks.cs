using Coppice.Formats;
using Coppice.Tensors;

namespace Coppice.Federation.Codecs;

/// <summary>Checks that every decoder makes.</summary>
static class CodecChecks
{
    /// <summary>Throws unless the message has a tensor of every wanted name, type and shape, and no other.</summary>
    public static void Check(SafeTensors message, IEnumerable<(string Name, DType Type, Shape Shape)> wanted)
    {
        int count = 0;
        foreach ((string name, DType type, Shape shape) in wanted)
        {
            TensorEntry entry = message.Find(name);
            if (entry.DType != type || !entry.Shape.SequenceEqual(shape.Select(size => (long)size)))
                throw FormatError.At(message.Path, $"tensor '{name}' is {entry.DType} [{string.Join(", ", entry.Shape)}], wanted {type} {shape}");
            count++;
        }
        if (message.Entries.Count != count)
            throw FormatError.At(message.Path, $"has {message.Entries.Count:N0} tensors, wanted {count:N0}");
    }
}
